package main

import (
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// appendAndSync is the yardstick of a durable write: 4 KiB appended, fdatasync.
func (c *child) appendAndSync(n int) error {
	if !c.wants("append") {
		return nil
	}
	file, err := os.Create(filepath.Join(c.dir, "append"))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	block := make([]byte, 4096)
	return c.account("append", n, func(*Sample) ([]time.Duration, error) {
		return loop(1, n, func(int) error {
			if _, err := file.Write(block); err != nil {
				return err
			}
			return syscall.Fdatasync(int(file.Fd()))
		})
	})
}
