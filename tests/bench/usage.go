package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

// processes that a measurement sums.
type processes []int

func (p processes) usage() (Cost, error) {
	var sum Cost
	for _, pid := range p {
		cpu, err := cpuTime(pid)
		if err != nil {
			return Cost{}, err
		}
		peak, err := peakRSS(pid)
		if err != nil {
			return Cost{}, err
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
	of, err := parseStat(string(data))
	return of.own, err
}

func peakRSS(pid int) (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	return kilobytes(string(data), "VmHWM:")
}
