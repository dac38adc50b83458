package model

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"testing"
	"unsafe"
)

// Fingerprints are taken over all bytes of a state: none may be padding.
func TestAStateHasNoPadding(t *testing.T) {
	typ := reflect.TypeOf(State{})
	if got := bytesOf(t, typ); got != typ.Size() || typ.Size()%8 != 0 {
		t.Errorf("the fields of a state have %d bytes, a state has %d", got, typ.Size())
	}
}

func bytesOf(t *testing.T, typ reflect.Type) uintptr {
	switch typ.Kind() {
	case reflect.Uint8, reflect.Uint64:
		return typ.Size()
	case reflect.Array:
		return uintptr(typ.Len()) * bytesOf(t, typ.Elem())
	case reflect.Struct:
		var sum uintptr
		for i := 0; i < typ.NumField(); i++ {
			sum += bytesOf(t, typ.Field(i).Type)
		}
		return sum
	}
	t.Fatalf("a state holds a %v", typ)
	return 0
}

// Every byte counts: states that differ in one of them are different states.
func TestEveryByteIsInTheFingerprint(t *testing.T) {
	seen := map[print]bool{}
	var s State
	seen[fingerprint(&s)] = true
	words := reflect.TypeOf(s).Size()
	for i := uintptr(0); i < words; i++ {
		for value := 1; value < 256; value += 50 {
			changed := withByte(i, byte(value))
			p := fingerprint(&changed)
			if seen[p] {
				t.Fatalf("byte %d = %d has the fingerprint of another state", i, value)
			}
			seen[p] = true
		}
	}
}

func TestVisitedFindsWhatWasAdded(t *testing.T) {
	v := newVisited()
	random := rand.New(rand.NewSource(1))
	var all []print
	for i := 0; i < 100000; i++ {
		p := print{uint64(random.Intn(5000)), uint64(i)} // many share a slot
		all = append(all, p)
		if id, fresh := v.add(p); !fresh || id != uint32(i) {
			t.Fatalf("number %d: got %d, fresh %v", i, id, fresh)
		}
	}
	for i, p := range all {
		if id, fresh := v.add(p); fresh || id != uint32(i) {
			t.Fatalf("number %d again: got %d, fresh %v", i, id, fresh)
		}
	}
}

func TestCyclesAreFound(t *testing.T) {
	graph := func(successors ...[]uint32) *explorer {
		e := &explorer{}
		for _, to := range successors {
			e.parent = append(e.parent, 0)
			e.edges = append(e.edges, to...)
			e.edgeEnd = append(e.edgeEnd, uint32(len(e.edges)))
		}
		return e
	}
	if at, found := graph([]uint32{1, 2}, []uint32{2}, nil).cycle(); found {
		t.Errorf("a cycle at %d where there is none", at)
	}
	if _, found := graph([]uint32{1}, []uint32{2}, []uint32{1}).cycle(); !found {
		t.Error("a cycle behind the first state is not seen")
	}
	if _, found := graph([]uint32{1}, []uint32{0}).cycle(); !found {
		t.Error("a cycle through the first state is not seen")
	}
}

// Random runs keep the laws, can be replayed, and survive their JSON.
func TestRandomSchedules(t *testing.T) {
	for _, c := range Scenarios() {
		for seed := int64(1); seed <= 5; seed++ {
			run := RandomRun(c, rand.New(rand.NewSource(seed)), 200)
			again := RandomRun(c, rand.New(rand.NewSource(seed)), 200)
			if !reflect.DeepEqual(run, again) {
				t.Fatalf("%s: seed %d gives two runs", c.Name, seed)
			}
			schedule, s, err := Replay(c, run)
			if err != nil || schedule.Broken != "" || len(run) == 200 {
				t.Fatalf("%s: %d steps, %v, %v", c.Name, len(run), schedule, err)
			}
			if law := CheckEnd(c, &s); law != 0 {
				t.Errorf("%s: ends with %v\n%v", c.Name, law, schedule)
			}
			text, err := schedule.JSON()
			if err != nil {
				t.Fatal(err)
			}
			var back Schedule
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(schedule.Ops, back.Ops) || !reflect.DeepEqual(schedule.Reads, back.Reads) ||
				schedule.String() != back.String() || len(back.Steps) != len(run) {
				t.Errorf("%s: the JSON tells something else:\n%v\n%v", c.Name, schedule, back)
			}
		}
	}
}

func TestAnImpossibleStepIsRefused(t *testing.T) {
	if _, _, err := Replay(Outcome(), []Step{{Act: Land}}); err == nil {
		t.Error("a commit lands that nobody sent")
	}
}

// withByte is the empty state with one byte set.
func withByte(i uintptr, value byte) State {
	var s State
	bytes := (*[unsafe.Sizeof(State{})]byte)(unsafe.Pointer(&s))
	bytes[i] = value
	return s
}
