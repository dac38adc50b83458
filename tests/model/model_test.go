package model

import "testing"

func TestScenarios(t *testing.T) {
	for _, c := range Scenarios() {
		t.Run(c.Name, func(t *testing.T) {
			r := Explore(c)
			t.Log(r)
			if r.Broken != 0 {
				s, _, err := Replay(c, r.Trace)
				t.Errorf("%v\n%v %v", r.Broken, s, err)
			}
		})
	}
}
