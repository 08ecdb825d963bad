package restart

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// A publishedPort is one port of a service.
type publishedPort struct {
	Target    json.Number
	Published json.Number
	Protocol  string
	HostIP    string `json:"host_ip"`
}

// UnmarshalJSON takes the short form too: IP:PUBLISHED:TARGET/PROTOCOL.
func (p *publishedPort) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		var long struct {
			Target    json.Number
			Published any
			Protocol  string
			HostIP    string `json:"host_ip"`
		}
		if err := json.Unmarshal(data, &long); err != nil {
			return err
		}
		*p = publishedPort{long.Target, "", long.Protocol, long.HostIP}
		if long.Published != nil {
			p.Published = json.Number(fmt.Sprint(long.Published))
		}
		return nil
	}
	text, p.Protocol, _ = strings.Cut(text, "/")
	at := strings.LastIndex(text, ":")
	p.Target = json.Number(text[at+1:])
	if at < 0 {
		return nil
	}
	rest := text[:at]
	if at = strings.LastIndex(rest, ":"); at >= 0 {
		p.HostIP = strings.Trim(rest[:at], "[]")
	}
	p.Published = json.Number(rest[at+1:])
	return nil
}

// bindings are the addresses of this host by the container's port. Those of a
// range are left out: which one a container gets is not said.
func (c serviceConfig) bindings() map[string]string {
	all := map[string]string{}
	for _, p := range c.Ports {
		if strings.Contains(string(p.Published), "-") {
			continue
		}
		protocol := p.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		key := fmt.Sprintf("%s/%s at %s", p.Target, protocol, anywhere(p.HostIP))
		all[key+":"+string(p.Published)] = ""
	}
	return all
}

func (c *container) bindings() map[string]string {
	all := map[string]string{}
	for port, list := range c.HostConfig.PortBindings {
		for _, b := range list {
			if !strings.Contains(b.HostPort, "-") {
				all[port+" at "+anywhere(b.HostIP)+":"+b.HostPort] = ""
			}
		}
	}
	return all
}

func anywhere(ip string) string {
	if ip == "0.0.0.0" || ip == "::" {
		return ""
	}
	return ip
}

// A volume is something mounted.
type volume struct{ Type, Source, Target string }

// UnmarshalJSON takes the short form too: SOURCE:TARGET:MODE.
func (v *volume) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) != nil {
		type plain volume
		return json.Unmarshal(data, (*plain)(v))
	}
	parts := strings.Split(text, ":")
	if len(parts) > 1 && strings.HasPrefix(parts[0], "/") {
		*v = volume{"bind", parts[0], parts[1]}
	}
	return nil
}

// binds are the files and folders of this host by where they are mounted.
func (c serviceConfig) binds() map[string]string {
	all := map[string]string{}
	for _, v := range c.Volumes {
		if v.Type == "bind" {
			all[path.Clean(v.Target)] = path.Clean(v.Source)
		}
	}
	return all
}

func (c *container) binds() map[string]string {
	all := map[string]string{}
	for _, m := range c.Mounts {
		if m.Type == "bind" {
			all[path.Clean(m.Destination)] = path.Clean(m.Source)
		}
	}
	return all
}

// A handed thing is a secret or a config, which Compose mounts like a volume.
type handed struct{ Source, Target string }

// UnmarshalJSON takes the short form too: the name alone.
func (h *handed) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &h.Source) == nil {
		return nil
	}
	type plain handed
	return json.Unmarshal(data, (*plain)(h))
}

// handed are the places of the secrets and configs in a container.
func (c serviceConfig) handed() (targets []string) {
	at := func(folder string, list []handed) {
		for _, h := range list {
			target := cmp.Or(h.Target, h.Source)
			if !path.IsAbs(target) {
				target = path.Join(folder, target)
			}
			targets = append(targets, path.Clean(target))
		}
	}
	at("/run/secrets", c.Secrets)
	at("/", c.Configs)
	return targets
}
