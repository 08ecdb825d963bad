package restart

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// followers tells of running containers that share the network of one of those
// that are restarted, and are not among them: the network that they have ends
// with it.
func (e engine) followers(ctx context.Context, restarted []*container) (said []Remark) {
	ids, err := e.read(ctx, "docker", "ps", "--quiet", "--no-trunc")
	if err != nil || strings.TrimSpace(ids) == "" {
		return nil
	}
	ask := []string{"docker", "container", "inspect", "--format", `{{.Id}}{{"\t"}}{{.Name}}{{"\t"}}{{.HostConfig.NetworkMode}}`, "--"}
	text, err := e.read(ctx, append(ask, strings.Fields(ids)...)...)
	if err != nil {
		return nil // one has ended meanwhile: a warning less
	}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 || slices.ContainsFunc(restarted, func(c *container) bool { return c.ID == f[0] }) {
			continue
		}
		name, of := strings.TrimPrefix(f[1], "/"), strings.TrimPrefix(f[2], "container:")
		for _, c := range restarted {
			if of == c.ID || f[2] == "container:"+c.name() {
				said = append(said, Remark{
					Text:    fmt.Sprintf("container %s shares the network of container %s, and is cut off from then on: make it anew, or restart it, afterwards", name, c.name()),
					About:   []string{"container " + name},
					Caution: true,
				})
			}
		}
	}
	return said
}
