package doctor

import "github.com/blnkctl/blnkctl/notify"

// Event is what a notice tells of the report: the findings that fail it, or that what was
// told of has ended.
func (r Report) Event(command, target, host, user, help string) notify.Event {
	e := notify.Event{Command: command, Target: target, Host: host, User: user}
	if r.Outcome == "passed" {
		e.Ends = []string{notify.Findings}
		return e
	}
	e.Kind, e.ExitCode, e.Help = notify.Findings, 6, help
	for _, severity := range []Severity{Error, Warning} {
		for _, one := range r.Rules {
			for _, f := range one.Findings {
				if f.Severity == severity && f.Accepted == "" {
					e.Findings = append(e.Findings, one.ID+" "+f.Place+": "+f.Text)
				}
			}
		}
	}
	for _, line := range r.Expired {
		e.Findings = append(e.Findings, "the baseline's date is over: "+line)
	}
	e.Error = r.Err().Error() // counts what could not be checked, too
	return e
}
