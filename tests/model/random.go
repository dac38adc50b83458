package model

import "math/rand"

// RandomRun is a random way through a scenario, to its end or at most so many
// steps: a schedule to be replayed against the code.
func RandomRun(c *Scenario, random *rand.Rand, most int) []Step {
	var run []Step
	s := c.Init()
	for len(run) < most {
		var steps []Step
		var states []State
		Successors(c, &s, func(step Step, t *State) {
			steps, states = append(steps, step), append(states, *t)
		})
		if len(steps) == 0 {
			break
		}
		n := random.Intn(len(steps))
		run = append(run, steps[n])
		s = states[n]
	}
	return run
}
