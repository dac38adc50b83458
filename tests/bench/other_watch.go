package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// otherCallers of the other process: its rate holds although a write takes longer than
// the time between two.
const otherCallers = 8

// runOtherWatch: a watch in this process, and another one that writes to the same
// database, as two API servers do. Measured is the time from the beginning of a write to
// its event here (acked: from its acknowledgement), on the clock that all processes share.
func (c *child) runOtherWatch() (err error) {
	w, err := startWriter(c.other)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	clients := c.clients
	c.clients = append(slices.Clone(clients), w.command.Process.Pid)
	defer func() { c.clients = clients }() // before its end: what is gone cannot be asked
	if c.wantsAny("other-watch", "other-watch-acked") {
		if err := c.otherWatch(w, "watched", "other-watch", 50, scaled(600)); err != nil {
			return err
		}
	}
	if c.wants("other-watch-5") {
		return c.otherWatch(w, "rarely", "other-watch-5", 5, scaled(50))
	}
	return nil
}

func (c *child) otherWatch(w *writer, set, scenario string, rate, n int) error {
	ctx, cancel := contextFor(time.Minute + time.Duration(n/rate)*time.Second)
	defer cancel()
	rv, err := c.revision()
	if err != nil {
		return err
	}
	watch, err := c.store.Watch(ctx, "/pods", optionsFrom(rv))
	if err != nil {
		return err
	}
	d := newDelivery(n)
	begin := sharedClock()
	d.watch(func(got []int64) error { return c.follow(ctx, watch, rv, set, d, got) })
	var times writeTimes
	s, err := c.sample(scenario, n, func(sample *Sample) ([]time.Duration, error) {
		times, err = w.write(order{Set: set, Rate: rate, Writes: n})
		if err != nil {
			return nil, err
		}
		if err := d.wait(sample); err != nil {
			return nil, err
		}
		sample.Rate = times.rate()
		return d.since(begin, times.Begun), nil
	})
	if err != nil {
		return err
	}
	if c.wants(scenario) {
		err = c.out.Encode(s)
	}
	if acked := scenario + "-acked"; err == nil && c.wants(acked) {
		latencies := d.since(begin, times.Acked)
		s.Scenario, s.P50, s.P99 = c.prefix+acked, percentile(latencies, .5), percentile(latencies, .99)
		err = c.out.Encode(s)
	}
	return err
}

// since replaces acked by times of the shared clock, which was at begin when d began. An
// event may come before the acknowledgement.
func (d *delivery) since(begin int64, times []int64) []time.Duration {
	for i, when := range times {
		d.acked[i] = when - begin
	}
	return d.latencies()
}

// sharedClock is the same in all processes of the machine, and does not jump.
func sharedClock() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // every Linux has this clock
	}
	return now.Nano()
}

// order to a writer, a line of JSON; its answer is writeTimes.
type order struct {
	Set          string
	Rate, Writes int
}

// writeTimes by write, on the shared clock.
type writeTimes struct {
	Begun, Acked []int64
}

// rate that was reached; 0 = one write has none.
func (t writeTimes) rate() float64 {
	if len(t.Begun) < 2 {
		return 0
	}
	spent := time.Duration(slices.Max(t.Begun) - slices.Min(t.Begun))
	return float64(len(t.Begun)-1) / spent.Seconds()
}

// writer is another process with the storage of this side.
type writer struct {
	command *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
}

// startWriter returns once it has written: its connections are there.
func startWriter(storage []string) (*writer, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &writer{command: exec.Command(executable, append([]string{"write"}, storage...)...)}
	w.command.Stderr = os.Stderr
	w.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.orders, err = w.command.StdinPipe(); err != nil {
		return nil, err
	}
	answers, err := w.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.answers = json.NewDecoder(answers)
	if err := w.command.Start(); err != nil {
		return nil, err
	}
	if _, err := w.write(order{Set: "warm", Rate: 1000, Writes: 64}); err != nil {
		return nil, errors.Join(err, w.end())
	}
	return w, nil
}

func (w *writer) write(o order) (times writeTimes, err error) {
	if err := json.NewEncoder(w.orders).Encode(o); err != nil {
		return times, fmt.Errorf("the writing process: %w", err)
	}
	if err := w.answers.Decode(&times); err != nil {
		return times, fmt.Errorf("the writing process: %w", err)
	}
	return times, nil
}

// end closes its storage in order.
func (w *writer) end() error { return errors.Join(w.orders.Close(), w.command.Wait()) }

// runWriter is the other process: orders on stdin until it ends.
func runWriter(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("bench write ours|etcd ENDPOINT, not %q", args)
	}
	open := map[string]func(string) (*side, error){"ours": oursOf, "etcd": etcd3At}[args[0]]
	if open == nil {
		return fmt.Errorf("no storage is called %s", strconv.Quote(args[0]))
	}
	s, err := open(args[1])
	if err != nil {
		return err
	}
	c := &child{side: s}
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		err := orders.Decode(&o)
		if err == io.EOF {
			return c.close()
		}
		var times writeTimes
		if err == nil {
			times, err = c.carryOut(o)
		}
		if err == nil {
			err = answers.Encode(times)
		}
		if err != nil {
			return errors.Join(err, c.close())
		}
	}
}

func (c *child) carryOut(o order) (writeTimes, error) {
	times := writeTimes{make([]int64, o.Writes), make([]int64, o.Writes)}
	create := c.creates(o.Set, o.Writes)
	start := time.Now()
	_, err := loop(otherCallers, o.Writes, func(i int) error {
		pace(start, i, o.Rate)
		times.Begun[i] = sharedClock()
		err := create(i)
		times.Acked[i] = sharedClock()
		return err
	})
	return times, err
}
