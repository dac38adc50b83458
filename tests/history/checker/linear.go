package checker

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/libstorage/tests/history"
)

// linearTime is what porcupine may take for one key.
const linearTime = 2 * time.Minute

// register is the state of one key: the object that is there, and the highest
// revision that a write of it got.
type register struct {
	mod   int64 // revision of the object; 0 none, unseen when nobody was told it
	value string
	last  int64
}

// unseen is the revision of a write without an answer that nobody saw.
const unseen = -1

// input of a call on a register. As a porcupine.Operation its output is a register:
// what was read, or what a write left; nil for a write without an answer.
type input struct {
	op      *history.Op
	expects func(register) bool // of the state before
	writes  bool
}

// model: what a call may do to a register.
var model = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any {
		now, call := state.(register), in.(input)
		fits := call.expects(now)
		if out == nil { // it happened now, or never: a later moment is tried too
			if fits {
				return []any{now, register{mod: unseenOr0(call.op), value: call.op.Value, last: now.last}}
			}
			return []any{now}
		}
		after := out.(register)
		switch {
		case !fits || call.writes && after.last != 0 && after.last <= now.last: // 0: it was not told
			return nil
		case call.writes:
			return []any{register{after.mod, after.value, max(after.last, now.last)}}
		}
		return []any{now}
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%s -> %v", describe(in.(input).op), out) },
}).ToModel()

func unseenOr0(op *history.Op) int64 {
	if op.Kind == history.Delete {
		return 0
	}
	return unseen
}

// checkLinear: the calls of each key fit one order in which each took effect at a
// moment between its start and its end. A write without an answer may take effect
// at any later time, or never.
func (c *checker) checkLinear() {
	calls := map[string][]porcupine.Operation{}
	for _, op := range c.history.Ops {
		if call, ok := c.linear(op); ok {
			calls[op.Key] = append(calls[op.Key], call)
		}
	}
	for _, name := range c.names {
		switch porcupine.CheckOperationsTimeout(model, calls[name], linearTime) {
		case porcupine.Illegal:
			c.fail(NotLinear, "%q: no order explains its %d calls", name, len(calls[name]))
		case porcupine.Unknown:
			c.fail(Undecided, "%q: %d calls were too many for %s", name, len(calls[name]), linearTime)
		}
	}
}

// linear is a call as porcupine sees it; false when it says nothing of the latest
// state of one key.
func (c *checker) linear(op *history.Op) (porcupine.Operation, bool) {
	call := porcupine.Operation{ClientId: op.Client, Call: op.Start, Return: op.End}
	in := input{op: op, writes: op.Writes()}
	switch {
	case op.Kind == history.List || op.At != 0:
		return call, false
	case op.Kind == history.Get && (op.Result == history.OK || op.Code == history.NotFound):
		got := register{}
		if item := find(op, op.Key); item != nil {
			got = register{mod: item.Mod, value: item.Value}
		}
		in.expects = func(now register) bool { return now.mod == got.mod && now.value == got.value }
		call.Output = got
	case !op.Writes():
		return call, false
	case op.Result == history.Failed:
		refused := refusedBy(op)
		if refused == nil {
			return call, false
		}
		in.expects = func(now register) bool { return refused(now.mod) }
		in.writes, call.Output = false, register{}
	default:
		in.expects = func(now register) bool { return now.mod == op.Expected }
		call.Output, call.Return = c.outcome(op)
	}
	call.Input = in
	return call, true
}

// outcome of a write that was not refused, and until when it took effect. One
// without an answer is known when somebody saw its revision.
func (c *checker) outcome(op *history.Op) (any, int64) {
	rev, until := op.Rev, op.End
	if found := c.madeBy(op); found != nil {
		rev = found.rev
		if op.Result == history.Unknown {
			until = max(found.doneBy, op.Start)
		}
	} else if op.Result == history.Unknown {
		return nil, math.MaxInt64
	}
	if op.Kind == history.Delete {
		return register{last: rev}, until
	}
	return register{mod: rev, value: op.Value, last: rev}, until
}

// madeBy is the commit of a write; nil when nobody saw it.
func (c *checker) madeBy(op *history.Op) *commit {
	if op.Kind != history.Delete {
		return c.byValue[op.Value]
	}
	k := c.key(op.Key)
	if next := k.next(op.Expected); next != nil && next.op == op {
		return next
	}
	return nil
}
