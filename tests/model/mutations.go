package model

// Mutation is a scenario with rules taken out, and the laws of which one must break.
type Mutation struct {
	Number string // of the counterexample in the protocol; "" = a rule without one
	Name   string
	Scope  *Scenario
	Out    []Rule
	Laws   []Law
}

func without(number, name string, scope *Scenario, laws []Law, out ...Rule) Mutation {
	scope.Rules = AllRules.Without(out...)
	return Mutation{number, name, scope, out, laws}
}

func onlyList(n int, c *Scenario) *Scenario {
	c.Reads = c.Reads[:n]
	return c
}

func lostMetaNear() *Scenario {
	c := LostMeta()
	c.Name = "lost-meta-near"
	c.Faults = map[Fault]int{LoseM: 1, Crash: 1}
	return c
}

func floorFree() *Scenario {
	c := QuietFloor()
	c.FloorFree = true
	return c
}

func laws(l ...Law) []Law { return l }

// Counterexamples are the thirteen of the protocol, each a shortcut that looks right.
func Counterexamples() []Mutation {
	return []Mutation{
		without("1", "M lost, restart above the highest head", onlyList(1, lostMetaNear()), laws(LawPublished), RuleJump),
		without("1", "M lost, restart at the highest head plus one", onlyList(1, lostMetaNear()), laws(LawPublished), RuleJumpFar),
		without("2", "older copy restored and repaired", OlderCopy(), laws(LawContents), RuleConfirmed, RuleSeen, RuleIncarnation),
		without("3", "two processes, each with its own M", Foreign(), laws(LawUnique), RuleMID),
		without("4", "a zombie with an old block", Zombie(), laws(LawContents, LawPublished), RuleGuardHead),
		without("5", "floor above a quiet backend's head", QuietFloor(), laws(LawFloor), RuleFloorHead),
		without("5", "and what it does: list, watch, 410, for ever", floorFree(), laws(LawGone), RuleFloorHead),
		without("6", "a redo log", Compaction(), laws(LawContents), RuleUndoLog),
		without("7", "head of one backend as the number of a spread resource", Namespaces(), laws(LawFuture), RuleOneNumber),
		without("8", "the writer feeds its ring unasked", WatchOne(), laws(LawWatchLost), RuleTail),
		without("9", "token read without a fence", Outcome(), laws(LawUnknown), RuleFence),
		without("10a", "take before the lock without the guard", Early(), laws(LawContents, LawPublished), RuleGuardHead),
		without("10b", "etcd's head read after the take", Etcd(), laws(LawContents, LawPublished), RuleHeadFirst),
		without("10c", "repair that writes nothing", Early(), laws(LawContents, LawPublished), RuleVoidWrites),
		without("10d", "repair without max()", Early(), laws(LawContents, LawPublished), RuleVoidMax),
		without("10e", "repair without the lock", Outcome(), laws(LawUnknown, LawContents), RuleVoidLock),
		without("11", "lock and check in one statement", Conflicts(), laws(LawExpected), RuleTwoStatements),
		without("12", "a revision taken before the checks", PlusOne(), laws(LawPlusOne), RuleCheckFirst),
		without("13a", "copy before fence", Move(), laws(LawContents, LawLinear), RuleFenceCopy),
		without("13b", "writes fenced, reads not", onlyList(1, Move()), laws(LawContents, LawLinear), RuleGenRead),
	}
}

// Others are the remaining rules, one at a time.
func Others() []Mutation {
	return []Mutation{
		without("", "writes not fenced by gen", Move(), laws(LawBackwards, LawContents, LawLinear), RuleGenWrite),
		without("", "nobody voids what a crash left", Namespaces(), laws(LawStuck), RuleJanitor),
		without("", "sessions without a client live for ever", Outcome(), laws(LawStuck), RuleTimeouts),
		without("", "a list does not wait for all backends", Outcome(), laws(LawContents, LawPublished), RuleWaitAll),
		without("", "a caller joins a resolve that began before it", TwoLists(), laws(LawLinear, LawBackwards), RuleFresh),
		without("", "plain rev as complete", MemoryOne(), laws(LawPublished, LawContents), RuleComplete),
		without("", "complete read after the snapshot", MemoryOne(), laws(LawContents, LawPublished), RuleCompleteFirst),
		without("", "complete without the head seen", MemoryOne(), laws(LawContents), RuleHeadToo),
		without("", "current revision below a list's", MemoryOne(), laws(LawBackwards), RuleShown),
		without("", "plain rev as a watch's bound", MemoryTwo(), laws(LawWatchLost), RuleComplete),
		without("", "a merged list does not wait", MemoryTwo(), laws(LawContents), RuleWaitAll),
		without("", "decided before the ring has it", MemoryTwo(), laws(LawWatchLost), RuleRingFirst),
		without("", "a ring's tail as the bound of all", MemoryTwo(), laws(LawWatchLost), RuleMerge),
		without("", "a void feeds the ring unasked", MemoryTwo(), laws(LawWatchLost), RuleTail),
		without("", "progress from before the request", MemoryProgress(), laws(LawProgress), RuleProgress),
		without("", "events lane by lane", MemoryTwo(), laws(LawWatchOrder), RuleOrder),
		without("", "each ring by itself", WatchTwo(), laws(LawWatchLost), RuleMerge),
		without("", "progress without a resolve", WatchTwo(), laws(LawProgress), RuleProgress),
		without("", "a watch goes on below the floor", WatchFloor(), laws(LawWatchLost), RuleWatchFloor),
		without("", "events deleted before the floor", Compaction(), laws(LawContents), RuleFloorFirst),
		without("", "seen is only what was acknowledged", OneWitness(), laws(LawContents), RuleSeenReads),
		without("", "the token read in an older copy", OlderCopyToken(), laws(LawUnknown), RuleTokenTail),
		without("", "a compacted token taken for absent", TokenFloor(), laws(LawUnknown), RuleTokenFloor),
		without("", "a minimum answered above head, head left", Minimum(), laws(LawBackwards), RuleMinRaises),
		without("", "a backend served that was not fenced", LostMeta(), laws(LawPublished, LawContents), RuleLateFence),
		without("", "no m_id where M was lost", LostMeta(), laws(LawPublished, LawContents, LawUnique), RuleMID),
		without("", "an accepted loss without a jump", Accepted(), laws(LawUnique, LawPublished, LawContents, LawWatchLost), RuleJump),
		without("", "a move without raising heads", MoveSpread(), laws(LawBackwards), RuleRaise),
		without("", "a move without raising floors", MoveHistory(), laws(LawContents), RuleRaiseFloor),
		without("", "a move that leaves watches alone", MoveWatch(), laws(LawWatchLost), RuleEndWatches),
		without("", "M.rev read before the gaining lane's lock", MoveSpread(), laws(LawBackwards), RuleRaiseLocked),
		without("", "the gaining head as a number before it is open", MoveSpread(), laws(LawBackwards), RuleLaneNumber),
		without("", "rev as a number before the losing lane is fenced", MoveApart(), laws(LawBackwards), RuleLaneNumber),
		without("", "a lane that loses and gains opened by the fence", MoveSwap(), laws(LawContents, LawLinear), RuleClosed),
		without("", "a reaper without expectations", Expiry(), laws(LawReap, LawExpected), RuleReapExact),
		without("", "expired objects hidden", Expiry(), laws(LawContents), RuleExpiredSeen),
		without("", "etcd without the compare", Etcd(), laws(LawContents, LawPublished), RuleHeadCompare),
		without("", "etcd: a failed compare is a conflict", Etcd(), laws(LawUnknown), RuleTokenRetry),
		without("", "etcd: a void that puts nothing", Etcd(), laws(LawContents, LawPublished), RuleVoidWrites),
		without("", "neither epoch nor void at a start", Successor(), laws(LawContents, LawPublished, LawLinear), RuleEpoch, RuleVoidAtStart),
		without("", "M.rev changed without a compare", Together(), laws(LawUnique), RuleMetaRev),
		without("", "etcd: M.rev changed without a compare", TogetherEtcd(), laws(LawUnique), RuleMetaRev),
		without("", "M.rev changed without alloc", TogetherWatch(), laws(LawWatchLost), RuleMetaAlloc),
		without("", "M changed by a process of an old epoch", TogetherBlocks(), laws(LawLinear, LawUnique), RuleMetaOwner),
		without("", "a start that read M.rev before its epoch", TogetherBlocks(), laws(LawLinear, LawUnique), RuleStartRev),
		without("", "a clean mark that lowers M.rev", TogetherEnds(), laws(LawUnique, LawAlarm), RuleEndCompare),
		without("", "M.rev read before the lane's lock", Together(), laws(LawAlarm), RuleRevLocked),
		without("", "the same, and nobody alarmed: gaps", TogetherPlusOne(), laws(LawPlusOne), RuleRevLocked, RuleWentBackHead),
		without("", "the same, and no compare", Together(), laws(LawUnique), RuleRevLocked, RuleWentBackHead, RuleMetaRev),
		without("", "what is known read after M.rev", TogetherKnown(), laws(LawAlarm), RuleKnownFirst),
		without("", "a fence that raises head above M.rev", TogetherSpread(), laws(LawFuture), RuleVoidHanded),
		without("", "the same: the next batch sees M below the lane", Together(), laws(LawAlarm), RuleVoidHanded),
		without("", "the token of a batch that took, read without a fence", Together(), laws(LawUnknown), RuleFence),
		without("", "a revision for a token", Together(), laws(LawAcked), RuleTokenExact),
		without("", "a batch that hands out what its process knows", TogetherOlder(), laws(LawUnique, LawPublished, LawContents), RuleWentBack),
		without("", "a take below what its process knows", TogetherOlder(), laws(LawUnique), RuleWentBackTake),
		without("", "a reader that believes M below what it knows", TogetherOlder(), laws(LawBackwards), RuleWentBackRead),
		without("", "M and lane went back, seen not looked at", TogetherOlder(), laws(LawContents), RuleSeen),
		without("", "a minimum leaves the head of a lane with M", TogetherMinimum(), laws(LawBackwards), RuleMinRaises),
	}
}

// Defences are rules behind which another one stands: taken out alone, nothing
// breaks in these scopes. Laws is empty.
func Defences() []Mutation {
	return []Mutation{
		without("", "the epoch alone: the void at the start stands", Successor(), nil, RuleEpoch),
		without("", "the void at the start alone: the epoch stands", Successor(), nil, RuleVoidAtStart),
		without("", "takes under the lock without head < first: the lock stands", Outcome(), nil, RuleGuardHead),
		without("", "heads read before the fences: the jump stands", LostMeta(), nil, RuleFenceAll),
		without("", "confirmed alone: the incarnation stands", OlderCopy(), nil, RuleConfirmed),
		without("", "seen alone: the incarnation stands", OlderCopy(), nil, RuleSeen),
		without("", "one process, the same incarnation: seen stands", OneWitness(), nil, RuleIncarnation),
		without("", "M.rev read before the lane's lock: the compare stands", TogetherSpread(), nil, RuleRevLocked, RuleWentBackHead),
		without("", "M's epoch alone: every number is M's own", TogetherStart(), nil, RuleMetaOwner),
		without("", "a start with an old M.rev: every number is M's own", TogetherStart(), nil, RuleStartRev),
		without("", "M's identity alone: that of the lane stands", TogetherAccepted(), nil, RuleMetaOwner),
		without("", "alloc with M: lists see the head that came with it", TogetherSpread(), nil, RuleMetaAlloc),
		without("", "the lane's head above M.rev: they go back together", TogetherOlder(), nil, RuleWentBackHead),
		without("", "head < first: the lock and the compare stand", TogetherSpread(), nil, RuleGuardHead),
	}
}

// Limits are losses that the protocol cannot see ("detected when a witness
// survives"): with all rules, in a scope where the witness is missing.
func Limits() []Mutation {
	same := OlderCopy()
	same.Name, same.SameInc = "older-copy-same-incarnation", true
	reads, writes := TogetherOlder(), TogetherOlder()
	reads.Name, reads.Ops[2].Proc = "together-older-second-reader", 1
	writes.Name, writes.Ops[2].Proc, writes.Reads = "together-older-second-writer", 1, nil
	return []Mutation{
		without("", "M and lane went back, a second process reads", reads, laws(LawLinear)),
		without("", "M and lane went back, a second process hands numbers out twice", writes, laws(LawUnique)),
		without("", "a second process repairs a copy without an incarnation", same, laws(LawContents)),
	}
}
