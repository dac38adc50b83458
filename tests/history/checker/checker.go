// Package checker proves or refutes, from a recorded history alone, that a store of
// one or several servers kept its word over crashes and outages:
//
//   - an acknowledged write is never lost, a refused one never there; one without an
//     answer may be there or not, but once seen it stays;
//   - a revision means one write, for ever, and revisions grow in real time;
//   - conditional writes of a key form one chain;
//   - each key is linearizable (porcupine decides);
//   - a read at R shows every committed write up to R and nothing else; all pages of a
//     list are of one R;
//   - a watch delivers every committed write in order, once, and goes on where it was;
//   - 410 is answered below the floor and for revisions of a lost metadata store,
//     and nowhere else; conflicts are real.
//
// It first collects every (revision, write) that anybody saw, then checks each
// record against the collection.
package checker

import (
	"fmt"
	"sort"

	"github.com/libstorage/tests/history"
)

// Rule that was broken.
type Rule string

// Rules.
const (
	LostWrite      Rule = "lost write"
	ReusedRevision Rule = "reused revision"
	BackwardRev    Rule = "revision went back"
	StaleRead      Rule = "stale read"
	WatchGap       Rule = "watch gap"
	WatchOrder     Rule = "watch order"
	False410       Rule = "410 above the floor"
	Missing410     Rule = "old revision accepted"
	FalseConflict  Rule = "false conflict"
	GhostWrite     Rule = "write that nobody made"
	CameBack       Rule = "deleted object came back"
	UnevenPages    Rule = "pages of several revisions"
	NotLinear      Rule = "not linearizable"
	Undecided      Rule = "not decided" // porcupine ran out of time
)

// Violation is one broken promise.
type Violation struct {
	Rule    Rule
	Message string
}

func (v Violation) String() string { return string(v.Rule) + ": " + v.Message }

// checks in their order, by name. Each reads what collect, linkKeys and learnOrder
// gathered; checkGone also what checkChains and checkReads noted.
var checks = []struct {
	name string
	run  func(*checker)
}{
	{"chains", (*checker).checkChains},
	{"order", (*checker).checkOrder},
	{"reads", (*checker).checkReads},
	{"pages", (*checker).checkPages},
	{"gone", (*checker).checkGone},
	{"stream orders", (*checker).checkStreamOrders},
	{"streams", (*checker).checkStreams},
	{"resumes", (*checker).checkResumes},
	{"410", (*checker).check410},
	{"refusals", (*checker).checkRefusals},
	{"linear", (*checker).checkLinear},
}

// Check returns what is wrong with a history; nothing when it is right. One fault
// often shows as several violations.
func Check(h *history.History) []Violation { return checkWithout(h, "") }

// checkWithout leaves one check out, to see what it is good for.
func checkWithout(h *history.History, without string) []Violation {
	c := &checker{
		history: h,
		commits: map[int64]*commit{},
		byValue: map[string]*commit{},
		writers: map[string]*history.Op{},
		keys:    map[string]*key{},
	}
	c.collect()
	c.linkKeys()
	c.learnOrder()
	for _, check := range checks {
		if check.name != without {
			check.run(c)
		}
	}
	return c.violations
}

// commit is one committed write, as acknowledged or seen.
type commit struct {
	rev      int64
	key      string
	value    string
	deleted  bool
	op       *history.Op // nil when nobody wrote it, which is a violation
	doneBy   int64       // it had happened by then: its writer, a read or a watch was told
	lastSeen int64       // when a read or watch last showed it
}

// key is everything known of one key.
type key struct {
	name    string
	commits []*commit               // ascending revisions
	deletes map[int64][]*history.Op // not refused, by expected revision
	unseen  map[int64]*unseenDelete // deletes without a known revision, by the version that went
}

// unseenDelete was committed (something is missing) but nobody saw its revision.
type unseenDelete struct {
	by      int64 // a read at this revision missed the object
	aliveAt int64 // a read at this revision showed it
}

// at is the last commit at or before rev; nil when there is none.
func (k *key) at(rev int64) *commit {
	if i := k.after(rev); i > 0 {
		return k.commits[i-1]
	}
	return nil
}

// after is the index of the first commit above rev.
func (k *key) after(rev int64) int {
	return sort.Search(len(k.commits), func(i int) bool { return k.commits[i].rev > rev })
}

// next is the commit that followed the one at rev; nil when none did.
func (k *key) next(rev int64) *commit {
	if i := k.after(rev); i < len(k.commits) {
		return k.commits[i]
	}
	return nil
}

// mayBeDeleted finds a delete of version rev whose own revision nobody saw and
// that may have happened before a time.
func (k *key) mayBeDeleted(rev, before int64) bool {
	for _, op := range k.deletes[rev] {
		if op.Rev == 0 && op.Start < before {
			return true
		}
	}
	return false
}

func (k *key) noteUnseen(version int64) *unseenDelete {
	u := k.unseen[version]
	if u == nil {
		u = &unseenDelete{}
		k.unseen[version] = u
	}
	return u
}

type checker struct {
	history    *history.History
	commits    map[int64]*commit
	byValue    map[string]*commit     // puts
	writers    map[string]*history.Op // creates and updates
	keys       map[string]*key
	names      []string // of keys, sorted
	order      []fact   // by time
	violations []Violation
}

func (c *checker) fail(rule Rule, format string, args ...any) {
	c.violations = append(c.violations, Violation{rule, fmt.Sprintf(format, args...)})
}

func describe(op *history.Op) string {
	return fmt.Sprintf("%s %q (call %d, %d..%d ns, %s)", op.Kind, op.Key, op.ID, op.Start, op.End, op.Result)
}
