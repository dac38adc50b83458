package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage of the measured processes: this one and, beside it, a server's.
type usage struct {
	CPU  time.Duration
	Peak int64 // bytes resident at most since resetPeak
}

// processes that a measurement sums.
type processes []int

func (p processes) usage() (usage, error) {
	var sum usage
	for _, pid := range p {
		cpu, err := cpuTime(pid)
		if err != nil {
			return usage{}, err
		}
		peak, err := peakRSS(pid)
		if err != nil {
			return usage{}, err
		}
		sum.CPU += cpu
		sum.Peak += peak
	}
	return sum, nil
}

// resetPeak makes the peaks begin at what is resident now.
func (p processes) resetPeak() error {
	for _, pid := range p {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}

// clockTick of /proc/PID/stat: USER_HZ is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

func cpuTime(pid int) (time.Duration, error) {
	if pid == os.Getpid() { // finer than /proc
		var r syscall.Rusage
		err := syscall.Getrusage(syscall.RUSAGE_SELF, &r)
		return time.Duration(r.Utime.Nano() + r.Stime.Nano()), err
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The fields after the name, which may hold spaces: utime and stime are 14 and 15.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

func peakRSS(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmHWM", pid)
}
