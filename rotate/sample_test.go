package rotate

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// A crowd answers like the new server, but for one question.
type crowd struct {
	asked, under, most atomic.Int32
	odd                int32
	oddly              blnk.Answer
	meet               *sync.WaitGroup // nil: nobody waits for the others
}

func (*crowd) String() string { return "http://crowd" }

func (c *crowd) Ask(ctx context.Context, _ secret.Key) (blnk.Answer, error) {
	c.most.Store(max(c.most.Load(), c.under.Add(1)))
	defer c.under.Add(-1)
	n := c.asked.Add(1)
	if c.meet != nil && n <= 4 {
		c.meet.Done()
		c.meet.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return blnk.Nothing, ctx.Err()
	case n == c.odd && c.oddly == blnk.Nothing:
		return blnk.Nothing, errors.New("HTTP 503")
	case n == c.odd:
		return c.oddly, nil
	default:
		return blnk.Live, nil
	}
}

func TestSampleAsksSeveralAtATime(t *testing.T) {
	c := &crowd{meet: &sync.WaitGroup{}}
	c.meet.Add(4) // the test hangs unless four questions are under way at once
	v, err := sample(t.Context(), Server{Prober: c, AtOnce: 4}, newKey, 19)
	if v != proved || err != nil || c.asked.Load() != 19 || c.most.Load() > 4 {
		t.Errorf("verdict %d, %v; %d asked, %d at once", v, err, c.asked.Load(), c.most.Load())
	}
}

func TestSampleFindsTheOneThatDiffers(t *testing.T) {
	for _, atOnce := range []int{0, 1, 5, 50} {
		for _, odd := range []int32{1, 10, 19} {
			for answer, want := range map[blnk.Answer]verdict{blnk.Rejected: mixed, blnk.Lesser: mixed} {
				c := &crowd{odd: odd, oddly: answer}
				if v, err := sample(t.Context(), Server{Prober: c, AtOnce: atOnce}, newKey, 19); v != want || err != nil {
					t.Errorf("%d at once, odd one %d, %v: verdict %d, %v", atOnce, odd, answer, v, err)
				}
			}
		}
	}
	// A single busy answer is asked again.
	c := &crowd{odd: 7}
	if v, err := sample(t.Context(), Server{Prober: c, AtOnce: 5}, newKey, 19); v != proved || err != nil || c.asked.Load() != 20 {
		t.Errorf("busy once: verdict %d, %v, %d asked", v, err, c.asked.Load())
	}
}

func TestSampleEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &crowd{}
	if v, err := sample(ctx, Server{Prober: c, AtOnce: 5}, newKey, 19); v != silent || err == nil {
		t.Errorf("verdict %d, %v", v, err)
	}
}
