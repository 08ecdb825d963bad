// Command list says which tools of the tests are missing here, a line each, and
// fails where one is required.
package main

import (
	"fmt"
	"os"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

func main() {
	status := 0
	for _, tool := range needs.Tools() {
		err := tool.Missing()
		if err == nil {
			continue
		}
		verb := "skipped"
		if tool.Required() {
			verb, status = "required", 1
		}
		fmt.Printf("%s: %v\n", verb, err)
	}
	os.Exit(status)
}
