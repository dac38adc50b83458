package model

// Scenarios are all of them.
func Scenarios() []*Scenario {
	return []*Scenario{
		Outcome(), Early(), Zombie(), TwoLists(), Conflicts(), PlusOne(), WatchOne(), WatchTwo(), WatchReadOnly(), WatchFloor(),
		MemoryOne(), MemoryTwo(), MemoryProgress(), Namespaces(), Minimum(), Compaction(), QuietFloor(), TokenFloor(),
		Etcd(), LostMeta(), OlderCopy(), OneWitness(), OlderCopyToken(), Accepted(), Foreign(), Successor(), Move(), MoveFaults(), MoveSwap(), MoveSpread(), MoveApart(),
		MoveWatch(), MoveHistory(), Expiry(),
		Together(), TogetherMixed(), TogetherAlone(), TogetherWatch(), TogetherSpread(), TogetherMinimum(), TogetherPlusOne(),
		TogetherStart(), TogetherBlocks(), TogetherEnds(), TogetherKnown(), TogetherOlder(), TogetherAccepted(), TogetherEtcd(),
	}
}

// Larger are the same scopes with more of everything that goes wrong. Those with
// more than maxStates states are not explored to the end.
func Larger(maxStates int) []*Scenario {
	var all []*Scenario
	for _, c := range Scenarios() {
		if c.PlusOne {
			continue
		}
		more := map[Fault]int{}
		for f, n := range c.Faults {
			more[f] = n
		}
		more[Lost]++
		more[Kill]++
		if !c.Memory {
			more[Crash]++
		}
		c.Faults, c.Name = more, c.Name+"-larger"
		if c.Compactions > 0 {
			c.Compactions++
		}
		c.MaxStates, c.MayStop = maxStates, true
		all = append(all, c)
	}
	return append(all, withMeta(maxStates)...)
}

// withMeta are the scopes of databases again, with either one in that of the
// metadata store.
func withMeta(maxStates int) []*Scenario {
	var all []*Scenario
	for b := range 2 {
		for _, c := range Scenarios() {
			// What is restored is backend 0, with M or without.
			if c.Together > 0 || c.Memory || c.Block > 0 || c.ForeignM || b == 1 && c.Faults[Restore] > 0 {
				continue
			}
			c.Name += []string{"-with-meta-0", "-with-meta-1"}[b]
			c.Together, c.MaxStates, c.MayStop = b+1, maxStates, true
			all = append(all, c)
		}
	}
	return all
}
