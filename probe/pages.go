package probe

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
)

// Blnk pages with limit and offset: GET of /ledgers, /balances and /transactions, and
// of /accounts and /identities where a filter is in the query. Without one those, and
// all other lists, are whole each time, whatever is asked for. A limit above mostItems
// becomes 20 without a word. An empty page is [] or null (Blnk 0.15.2, api/*.go and
// database/*.go; seen on a server).
const (
	mostItems = 100
	mostPages = 10_000
)

// checkPaging takes where the paging begins from the query.
func (r *Request) checkPaging() error {
	if !r.Paginate {
		return nil
	}
	if r.Method != http.MethodGet || r.Body != nil {
		return hint.Add(errors.New("--paginate is for lists, which GET gives"), "where POST filters, limit and offset stand in the body")
	}
	query, _ := url.ParseQuery(r.query) // looked at
	var err error
	number := func(name string, otherwise, least, most int) int {
		n, wrong := strconv.Atoi(cmp.Or(query.Get(name), strconv.Itoa(otherwise)))
		if wrong != nil || n < least || n > most {
			err = fmt.Errorf("--paginate: %s in the query: want %d to %d", name, least, most)
		}
		return n
	}
	r.limit, r.offset = number("limit", mostItems, 1, mostItems), number("offset", 0, 0, 1<<40)
	return err
}

func (r *Request) page(n int) (query string) {
	values, _ := url.ParseQuery(r.query)
	values.Set("limit", strconv.Itoa(r.limit))
	values.Set("offset", strconv.Itoa(r.offset+n*r.limit))
	return values.Encode()
}

// mostBytes bounds a page, which may be the whole of a long list.
const mostBytes = 256 << 20

// pages writes the pages of a list as one list, and what is no list as it came.
func (e *exchange) pages(ctx context.Context) error {
	var before []json.RawMessage
	written, end := false, false // an item was, and there are no more pages
	for n := range mostPages {
		err := e.once(ctx, e.page(n), func(response *http.Response) error {
			body, err := io.ReadAll(https.Limit(response.Body, mostBytes))
			var page []json.RawMessage
			switch invalid := json.Unmarshal(body, &page); {
			case n == 0 && (err != nil || invalid != nil):
				end = true
				_, _ = e.out.Write(body)
				if err == nil && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
					err = e.fail("%w", hint.As(ErrAnswer, "the list is no valid JSON"))
				}
				return cmp.Or(e.out.err, err)
			case err != nil:
				return err
			case invalid != nil:
				return e.fail("%w", hint.As(ErrAnswer, "a further page of the list is none"))
			}
			// What has no pages gives the whole list each time.
			again := n > 0 && (len(page) > e.limit || slices.EqualFunc(before, page, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }))
			if n == 0 {
				_, _ = io.WriteString(e.out, "[")
			}
			for _, item := range page {
				if again {
					break
				}
				if written {
					_, _ = io.WriteString(e.out, ",")
				}
				written = true
				_, _ = e.out.Write(item)
			}
			if end = again || len(page) != e.limit; end {
				_, _ = io.WriteString(e.out, "]\n")
			}
			before = page
			return e.out.err
		})
		if err != nil || end {
			return err
		}
		e.refused = io.Discard // it stands in the middle of the list
	}
	return hint.Add(e.fail("%w", hint.As(ErrAnswer, "stopped after %d pages of the list", mostPages)),
		"go on with: blnkctl api --paginate %s", hint.Quote(e.path+"?"+e.page(mostPages)))
}
