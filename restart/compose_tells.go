package restart

import "context"

// Environments returns what each service will see: what its containers were
// made with, or what Compose makes of its files and env files where it will be
// recreated.
func (d *compose) Environments(ctx context.Context) ([]Environment, error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.configure(ctx, p); err != nil {
		return nil, err
	}
	var envs []Environment
	for _, s := range p.services {
		env := Environment{Process: "service " + s.name, Vars: s.containers[0].env()}
		if s.recreate {
			for _, name := range keyVariables() {
				delete(env.Vars, name)
			}
			for name, value := range s.config.vars() {
				env.Vars[name] = value
			}
			env.Files = d.envFiles(ctx, p, s)
		}
		envs = append(envs, env)
	}
	return envs, nil
}

// Servers returns the published addresses of the services that run "blnk
// start", where the engine is on this host.
func (d *compose) Servers(ctx context.Context) ([]string, error) {
	p, err := d.find(ctx)
	if err != nil || !d.local(ctx) {
		return nil, err
	}
	var all []container
	for _, s := range p.services {
		all = append(all, s.containers...)
	}
	return addresses(all)
}

// Remarks tells how the services stop and start, what else of the project has
// to do with their key, and whether workers are among them.
func (d *compose) Remarks(ctx context.Context) ([]string, error) {
	p, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.configure(ctx, p); err != nil {
		return nil, err
	}
	var said []string
	workers := false
	for _, s := range p.services {
		said = append(said, s.containers[0].remarks()...)
		if s.recreate {
			said = append(said, s.name+": its container is made anew, for only so it gets another environment; its files outside of volumes are lost")
		}
		workers = workers || s.containers[0].role().workers
	}
	for _, c := range p.others {
		if c.writesConfig() {
			said = append(said, c.Config.Labels[labelService]+": this service writes a blnk.json that lets everybody in where the file is missing, at each \"up\" that starts it too; this restart does not")
		}
	}
	if !workers {
		said = append(said, "none of the services runs \"blnk workers\": restart the workers too, they read the key at their start")
	}
	return said, nil
}
