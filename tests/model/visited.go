package model

import "unsafe"

// print is a fingerprint of a state.
type print [2]uint64

// fingerprint mixes the bytes of a state twice, independently. A collision
// would hide a state; at a hundred million states its probability is below 1e-22.
func fingerprint(s *State) print {
	words := (*[unsafe.Sizeof(State{}) / 8]uint64)(unsafe.Pointer(s))
	a, b := uint64(0x9e3779b97f4a7c15), uint64(0xd1b54a32d192ed03)
	for _, w := range words {
		a = (a ^ w) * 0xff51afd7ed558ccd
		a ^= a >> 32
		b = (b + w) * 0xc4ceb9fe1a85ec53
		b ^= b >> 29
	}
	a ^= b >> 32
	return print{a * 0x9fb21c651e98df25, b ^ a>>29}
}

// visited maps fingerprints to state numbers: open addressing, numbers in the
// order of discovery, so that the prints themselves are one slice.
type visited struct {
	prints []print
	slots  []uint32 // 1 + state number; 0 = free
}

func newVisited() *visited { return &visited{slots: make([]uint32, 1<<12)} }

// add returns the number of a fingerprint, and whether it is new.
func (v *visited) add(p print) (uint32, bool) {
	if len(v.prints)*2 >= len(v.slots) {
		v.grow()
	}
	mask := uint64(len(v.slots) - 1)
	for at := p[0] & mask; ; at = (at + 1) & mask {
		slot := v.slots[at]
		if slot == 0 {
			v.prints = append(v.prints, p)
			v.slots[at] = uint32(len(v.prints))
			return uint32(len(v.prints) - 1), true
		}
		if v.prints[slot-1] == p {
			return slot - 1, false
		}
	}
}

func (v *visited) grow() {
	v.slots = make([]uint32, 4*len(v.slots))
	mask := uint64(len(v.slots) - 1)
	for n, p := range v.prints {
		at := p[0] & mask
		for v.slots[at] != 0 {
			at = (at + 1) & mask
		}
		v.slots[at] = uint32(n + 1)
	}
}
