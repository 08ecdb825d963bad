package restart

import (
	"context"

	"github.com/blnkctl/blnkctl/internal/run"
)

// processes tells of environments as processes.
func processes(envs []Environment, remarks []Remark) (all []Process) {
	for _, e := range envs {
		p := Process{
			Name: e.Process, Aliases: e.Aliases, Restarts: !e.Left, Server: e.Server, Workers: e.Workers, Env: e.Vars,
			Config: e.Config, Isolated: e.Isolated, Mounts: e.Mounts, ExecStore: e.Execs,
		}
		if e.Renewed {
			p.Next = e.Vars
		}
		for _, s := range e.Sources {
			if s.File != "" {
				p.EnvFiles = append(p.EnvFiles, s.File)
			}
		}
		all = append(all, p)
	}
	for _, r := range remarks {
		if len(all) == 0 {
			break
		}
		if r.Caution {
			all[0].Cautions = append(all[0].Cautions, r.Text)
		} else {
			all[0].Remarks = append(all[0].Remarks, r.Text)
		}
	}
	return all
}

// Processes tells of the containers.
func (d *docker) Processes(ctx context.Context) ([]Process, error) {
	envs, err := d.Environments(ctx)
	if err != nil {
		return nil, err
	}
	remarks, err := d.Remarks(ctx)
	return processes(envs, remarks), err
}

// Processes tells of the services.
func (d *compose) Processes(ctx context.Context) ([]Process, error) {
	envs, err := d.Environments(ctx)
	if err != nil {
		return nil, err
	}
	remarks, err := d.Remarks(ctx)
	return processes(envs, remarks), err
}

type outcome struct {
	error
	exit *run.ExitError
}

func (o *outcome) Unwrap() []error { return []error{o.error, o.exit} }
