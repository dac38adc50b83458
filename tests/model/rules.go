package model

// Rule is one rule of the protocol that can be taken out.
type Rule uint8

// The rules. docs/model.md has the table: rule, action, switch, test.
const (
	RuleGuardHead     Rule = iota // guard: head < first
	RuleMID                       // guard, voids and reads: the metadata store's identity
	RuleEpoch                     // guard and voids: the epoch
	RuleGenWrite                  // guard: the topology generation
	RuleGenRead                   // reads check gen in their own snapshot
	RuleTwoStatements             // lock and check are two statements
	RuleCheckFirst                // take after the preconditions were checked
	RuleFence                     // read the token behind a committed void
	RuleVoidWrites                // only the commit of a void proves anything
	RuleVoidMax                   // void: head = max(head, alloc)
	RuleVoidLock                  // a void takes the lane lock
	RuleConfirmed                 // void refuses head < confirmed[b]
	RuleSeen                      // void refuses head < what this process saw acknowledged
	RuleSeenReads                 // heads seen in snapshots count as seen too
	RuleIncarnation               // void refuses another incarnation
	RuleJanitor                   // every writing process voids what others left
	RuleTimeouts                  // sessions without a client end on the server
	RuleOneNumber                 // the number is decided per resource, not per request
	RuleComplete                  // memory: complete[b] = first in flight - 1
	RuleCompleteFirst             // memory: complete[b] is read before the snapshot
	RuleFresh                     // join only a resolve that started after the caller arrived
	RuleWaitAll                   // a list over several backends waits for all of them
	RuleTail                      // a ring takes a batch only at its tail
	RuleRingFirst                 // ring, then decide
	RuleMerge                     // emit r when every backend is complete up to r
	RuleProgress                  // RequestProgress resolves after the call
	RuleFloorHead                 // floor <= head
	RuleWatchFloor                // a watch below the floor is ended, never thinned out
	RuleFloorFirst                // the floor is committed before rows go
	RuleUndoLog                   // events carry the value before
	RuleJump                      // new epoch: jump, and the floor with it
	RuleJumpFar                   // new epoch: far above, not max(heads) + 1
	RuleFenceAll                  // new epoch: every reachable lane is fenced before start is chosen
	RuleLateFence                 // a backend unreachable then serves nothing until fenced
	RuleVoidAtStart               // a start voids every lane to the reserved end
	RuleFenceCopy                 // move: fence the losing lane before the copy
	RuleRaise                     // move: raise heads before the gaining backend opens
	RuleRaiseFloor                // move: raise floors with the heads
	RuleEndWatches                // move: end the watches
	RuleRaiseLocked               // move: M.rev is read under the lane lock that sets gen
	RuleReapExact                 // a reaper expects (revision, expiry)
	RuleExpiredSeen               // expired but not reaped is visible
	RuleHeadFirst                 // etcd: head is read before the take
	RuleHeadCompare               // etcd: the transaction compares head's mod revision
	RuleTokenRetry                // etcd: a failed compare is a conflict only after the token
	RuleMinRaises                 // answering a minimum above head raises head to it
	RuleTokenFloor                // an absent token proves nothing at or below the floor
	RuleClosed                    // move: who loses and gains stays closed for what it gains
	RuleTokenTail                 // the token is read where head is not below the fence
	RuleLaneNumber                // move: the lane's generation says how a resource is numbered
	RuleOrder                     // a merged watch delivers by revision, not lane by lane
	RuleHeadToo                   // memory: max(head, complete), not complete alone
	RuleShown                     // memory: what a list showed is the least the next answer says
	RuleMetaRev                   // together: the batch compares M.rev with what it read
	RuleMetaAlloc                 // together: alloc[b] changes with M.rev
	RuleMetaOwner                 // together: and M's identity and epoch
	RuleRevLocked                 // together: M.rev is read behind the lane's lock
	RuleVoidHanded                // together: a fence voids only what M handed out
	RuleTokenExact                // the token is the process's and the batch's, not a revision
	RuleWentBack                  // together: a batch refuses M.rev below what its process knows
	RuleWentBackTake              // so does a take apart
	RuleWentBackHead              // together: and below the lane's head
	RuleWentBackRead              // together: so does who resolves
	RuleKnownFirst                // together: what is known is read before M.rev
	RuleStartRev                  // a start reads M.rev with or behind its epoch + 1
	RuleEndCompare                // the clean mark does not lower M.rev
	numRules
)

var ruleNames = [numRules]string{
	"guard-head", "guard-m_id", "guard-epoch", "guard-gen", "read-gen", "two-statements",
	"check-before-take", "fence-before-token", "void-writes", "void-max", "void-lock",
	"void-confirmed", "void-seen", "seen-in-snapshots", "void-incarnation", "janitor", "session-timeouts",
	"number-per-resource", "complete-below-flight", "complete-before-snapshot", "fresh-resolve",
	"wait-all", "ring-tail", "ring-before-decide", "merge-complete", "progress-after-call",
	"floor-below-head", "watch-floor", "floor-before-delete", "undo-log", "jump", "jump-far", "fence-before-choose", "late-fence",
	"void-at-start", "fence-before-copy", "raise-head", "raise-floor", "end-watches",
	"raise-under-lock", "reap-exact", "expired-visible", "etcd-head-first", "etcd-compare",
	"etcd-token", "minimum-raises", "token-above-floor", "closed-until-copied", "token-behind-fence", "number-by-lane", "watch-order", "head-too", "shown",
	"meta-rev", "meta-alloc", "meta-owner", "rev-under-lock", "void-handed-out", "token-exact", "went-back", "went-back-take",
	"went-back-head", "went-back-read", "known-first",
	"start-rev", "end-compare",
}

func (r Rule) String() string { return ruleNames[r] }

// Rules is a set of rules that hold, a bit each.
type Rules [(numRules + 63) / 64]uint64

// AllRules is the protocol.
var AllRules = func() (all Rules) {
	for rule := Rule(0); rule < numRules; rule++ {
		all[rule/64] |= 1 << (rule % 64)
	}
	return all
}()

// Without is the set with some rules taken out.
func (r Rules) Without(out ...Rule) Rules {
	for _, rule := range out {
		r[rule/64] &^= 1 << (rule % 64)
	}
	return r
}

// Has tells whether the rule holds.
func (r *Rules) Has(rule Rule) bool { return r[rule/64]>>(rule%64)&1 == 1 }
