package refstore

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
)

// record is one line of the log: a checksum, a space and JSON.
type record struct {
	Rev    int64
	Key    string `json:",omitempty"`
	Value  []byte `json:",omitempty"`
	Delete bool   `json:",omitempty"`
	Epoch  bool   `json:",omitempty"` // revisions jumped to Rev
}

// load applies the log up to the first line that is not whole, and cuts it there.
func (s *Store) load() error {
	reader := bufio.NewReader(s.log)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		var r record
		if err == io.EOF || !parse(line, &r) {
			return s.log.Truncate(s.size)
		}
		s.size += int64(len(line))
		s.apply(r)
	}
}

func parse(line []byte, r *record) bool {
	var sum uint32
	if len(line) < 10 {
		return false
	}
	if _, err := fmt.Sscanf(string(line[:8]), "%x", &sum); err != nil || crc32.ChecksumIEEE(line[9:]) != sum {
		return false
	}
	return json.Unmarshal(line[9:], r) == nil
}

// append writes a record and makes it durable. What a failed write left behind is
// cut off; when that fails too, the store is broken.
func (s *Store) append(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	data = append(data, '\n')
	line := append(fmt.Appendf(nil, "%08x ", crc32.ChecksumIEEE(data)), data...)
	if _, err := s.log.WriteAt(line, s.size); err != nil {
		if cut := s.log.Truncate(s.size); cut != nil {
			s.broken = cut
		}
		return err
	}
	if !s.options.NoSync {
		if err := s.log.Sync(); err != nil {
			s.broken = err
			return err
		}
	}
	s.size += int64(len(line))
	return nil
}
