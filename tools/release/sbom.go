package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// sbom lists what a binary is linked from as CycloneDX (cyclonedx.org), in JSON. It has
// no serial number, and the time of the commit: two builds are the same.
func sbom(b binary, own *module, linked []*module, program []byte) ([]byte, error) {
	c := component(own)
	c.Type, c.Name = cdx.ComponentTypeApplication, "blnkctl"
	c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: fmt.Sprintf("%x", sha256.Sum256(program))}}
	libraries, needs := make([]cdx.Component, 0), []cdx.Dependency{dependency(own)}
	for _, m := range linked {
		libraries, needs = append(libraries, component(m)), append(needs, dependency(m))
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: b.time.UTC().Format(time.RFC3339), Component: &c,
		Tools:      &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "blnkctl/tools/release", Version: b.version}}},
		Supplier:   &cdx.OrganizationalEntity{Name: "The blnkctl authors", URL: &[]string{homepage}},
		Properties: &[]cdx.Property{{Name: "blnkctl:platform", Value: b.os + "/" + b.arch}},
	}
	bom.Components, bom.Dependencies = &libraries, &needs
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// component has the module's sum as go.sum has it: it is the hash of no file, so that
// CycloneDX has no field for it.
func component(m *module) cdx.Component {
	c := cdx.Component{BOMRef: purl(m), Type: cdx.ComponentTypeLibrary, Name: m.path, Version: m.version, PackageURL: purl(m)}
	if len(m.licenses) == 1 {
		c.Licenses = &cdx.Licenses{{License: &cdx.License{ID: m.licenses[0]}}}
	} else {
		c.Licenses = &cdx.Licenses{{Expression: strings.Join(m.licenses, " AND ")}}
	}
	if m.sum != "" {
		c.Properties = &[]cdx.Property{{Name: "blnkctl:go.sum", Value: m.sum}}
	}
	return c
}

func dependency(m *module) cdx.Dependency {
	refs := make([]string, 0)
	for _, n := range m.needs {
		refs = append(refs, purl(n))
	}
	return cdx.Dependency{Ref: purl(m), Dependencies: &refs}
}

// purl is a module's package URL.
func purl(m *module) string {
	return "pkg:golang/" + m.path + "@" + strings.TrimPrefix(m.version, "go")
}
