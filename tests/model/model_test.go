package model

import "testing"

type mutation struct {
	number string // of protocol.md's counterexample; "" = another rule
	scope  *Scenario
	out    []Rule
	laws   []Law // one of them breaks
}

func mutations() []mutation {
	return []mutation{
		{"1", LostMeta(), []Rule{RuleJump}, []Law{LawPublished, LawUnique}},
		{"2", OlderCopy(), []Rule{RuleConfirmed, RuleSeen, RuleIncarnation}, []Law{LawContents}},
		{"3", Foreign(), []Rule{RuleMID}, []Law{LawUnique}},
		{"4", Zombie(), []Rule{RuleGuardHead}, []Law{LawPublished, LawContents}},
		{"5", QuietFloor(), []Rule{RuleFloorHead}, []Law{LawFloor, LawGone}},
		{"6", Compaction(), []Rule{RuleUndoLog}, []Law{LawContents}},
		{"7", Namespaces(), []Rule{RuleOneNumber}, []Law{LawFuture, LawBackwards}},
		{"8", WatchOne(), []Rule{RuleTail}, []Law{LawWatchLost}},
		{"9", Outcome(), []Rule{RuleFence}, []Law{LawUnknown}},
		{"10a", Early(), []Rule{RuleGuardHead}, []Law{LawPublished, LawContents}},
		{"10b", Etcd(), []Rule{RuleHeadFirst}, []Law{LawPublished, LawContents}},
		{"10c", Early(), []Rule{RuleVoidWrites}, []Law{LawPublished, LawContents}},
		{"10d", Outcome(), []Rule{RuleVoidMax}, nil},
		{"10e", Outcome(), []Rule{RuleVoidLock}, nil},
		{"11", Conflicts(), []Rule{RuleTwoStatements}, nil},
		{"12", PlusOne(), []Rule{RuleCheckFirst}, []Law{LawPlusOne}},
		{"13a", Move(), []Rule{RuleFenceCopy}, nil},
		{"13b", Move(), []Rule{RuleGenRead}, nil},
		{"", Move(), []Rule{RuleGenWrite}, nil},
		{"", Namespaces(), []Rule{RuleJanitor}, nil},
		{"", Outcome(), []Rule{RuleTimeouts}, nil},
		{"", Outcome(), []Rule{RuleWaitAll}, nil},
		{"", TwoLists(), []Rule{RuleFresh}, nil},
		{"", MemoryOne(), []Rule{RuleComplete}, nil},
		{"", MemoryOne(), []Rule{RuleCompleteFirst}, nil},
		{"", MemoryOne(), []Rule{RuleHeadToo}, nil},
		{"", MemoryOne(), []Rule{RuleShown}, nil},
		{"", MemoryTwo(), []Rule{RuleComplete}, nil},
		{"", MemoryTwo(), []Rule{RuleWaitAll}, nil},
		{"", MemoryTwo(), []Rule{RuleRingFirst}, nil},
		{"", MemoryTwo(), []Rule{RuleMerge}, nil},
		{"", MemoryTwo(), []Rule{RuleTail}, nil},
		{"", MemoryProgress(), []Rule{RuleProgress}, nil},
		{"", WatchTwo(), []Rule{RuleMerge}, nil},
		{"", WatchTwo(), []Rule{RuleProgress}, nil},
		{"", Compaction(), []Rule{RuleFloorFirst}, nil},
		{"", TokenFloor(), []Rule{RuleTokenFloor}, nil},
		{"", Minimum(), []Rule{RuleMinRaises}, nil},
		{"", Minimum(), []Rule{RuleOneNumber}, nil},
		{"", LostMeta(), []Rule{RuleFenceAll}, nil},
		{"", LostMeta(), []Rule{RuleLateFence}, nil},
		{"", LostMeta(), []Rule{RuleMID}, nil},
		{"", OlderCopy(), []Rule{RuleIncarnation}, nil},
		{"", OlderCopy(), []Rule{RuleConfirmed}, nil},
		{"", OlderCopy(), []Rule{RuleSeen}, nil},
		{"", Accepted(), []Rule{RuleJump}, nil},
		{"", Successor(), []Rule{RuleEpoch}, nil},
		{"", Successor(), []Rule{RuleVoidAtStart}, nil},
		{"", Successor(), []Rule{RuleEpoch, RuleVoidAtStart}, nil},
		{"", LostMeta(), []Rule{RuleJumpFar}, nil},
		{"", MoveSwap(), []Rule{RuleClosed}, nil},
		{"", MoveFaults(), []Rule{RuleFenceCopy}, nil},
		{"", MoveFaults(), []Rule{RuleGenWrite}, nil},
		{"", Etcd(), []Rule{RuleVoidWrites}, nil},
		{"", Etcd(), []Rule{RuleVoidMax}, nil},
		{"", WatchReadOnly(), []Rule{RuleVoidMax}, nil},
		{"", WatchOne(), []Rule{RuleVoidMax}, nil},
		{"", WatchTwo(), []Rule{RuleVoidMax}, nil},
		{"", Early(), []Rule{RuleVoidMax}, nil},
		{"", MemoryTwo(), []Rule{RuleVoidMax}, nil},
		{"", WatchReadOnly(), []Rule{RuleVoidLock}, nil},
		{"", Move(), []Rule{RuleRaise}, nil},
		{"", MoveSpread(), []Rule{RuleRaise}, nil},
		{"", MoveSpread(), []Rule{RuleRaiseLocked}, nil},
		{"", MoveWatch(), []Rule{RuleEndWatches}, nil},
		{"", MoveHistory(), []Rule{RuleRaiseFloor}, nil},
		{"", Expiry(), []Rule{RuleReapExact}, nil},
		{"", Expiry(), []Rule{RuleExpiredSeen}, nil},
		{"", Etcd(), []Rule{RuleHeadCompare}, nil},
		{"", Etcd(), []Rule{RuleTokenRetry}, nil},
	}
}

func TestScenarios(t *testing.T) {
	for _, c := range Scenarios() {
		t.Run(c.Name, func(t *testing.T) {
			r := Explore(c, nil)
			t.Log(r)
			if r.Broken != 0 {
				s, _, err := Replay(c, r.Trace)
				t.Errorf("%v\n%v %v", r.Broken, s, err)
			}
		})
	}
}

func TestMutations(t *testing.T) {
	for _, m := range mutations() {
		m.scope.Rules = AllRules.Without(m.out...)
		r := Explore(m.scope, nil)
		t.Logf("%-4s %-16s %v: %q %d steps, %v", m.number, m.scope.Name, m.out, r.Broken, len(r.Trace), r)
	}
}
