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
	text, err := e.read(ctx, "docker", "ps", "--no-trunc", "--format", `{{.ID}}{{"\t"}}{{.Networks}}`)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		// One that shares the network of another has none of its own.
		id, own, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if own != "" || slices.ContainsFunc(restarted, func(c *container) bool { return c.ID == id }) {
			continue
		}
		other, err := e.inspect(ctx, id)
		if err != nil {
			continue // it has ended meanwhile
		}
		name, of := other.name(), strings.TrimPrefix(other.HostConfig.NetworkMode, "container:")
		for _, c := range restarted {
			if of == c.ID || of == c.name() {
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
