package e2e

import (
	"fmt"
	"os"
	"strings"
)

// Variant is one way to run the API server.
type Variant struct {
	Name       string
	WatchCache bool
	JSON       bool
	Encryption string // "", aescbc or secretbox
	HariKube   bool   // the flags of its users, see mission.md; implies no watch cache and JSON
}

// Variants is the matrix. The first two are the sample of `make test`.
var Variants = []Variant{
	{Name: "cache-protobuf-secretbox", WatchCache: true, Encryption: "secretbox"},
	{Name: "harikube", JSON: true, HariKube: true},
	{Name: "cache-protobuf", WatchCache: true},
	{Name: "cache-json", WatchCache: true, JSON: true},
	{Name: "cache-protobuf-aescbc", WatchCache: true, Encryption: "aescbc"},
	{Name: "cache-json-aescbc", WatchCache: true, JSON: true, Encryption: "aescbc"},
	{Name: "nocache-protobuf"},
	{Name: "nocache-json", JSON: true},
	{Name: "nocache-protobuf-aescbc", Encryption: "aescbc"},
	{Name: "nocache-json-secretbox", JSON: true, Encryption: "secretbox"},
}

const sampleSize = 2

// ChosenVariants reads E2E_VARIANTS and TEST_CLASS.
func ChosenVariants() ([]Variant, error) {
	names := strings.FieldsFunc(os.Getenv("E2E_VARIANTS"), func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case len(names) == 1 && names[0] == "all", len(names) == 0 && os.Getenv("TEST_CLASS") == "full":
		return Variants, nil
	case len(names) == 0:
		return Variants[:sampleSize], nil
	}
	var chosen []Variant
	for _, name := range names {
		found := false
		for _, v := range Variants {
			if v.Name == name {
				chosen, found = append(chosen, v), true
			}
		}
		if !found {
			return nil, fmt.Errorf("E2E_VARIANTS: no variant %q", name)
		}
	}
	return chosen, nil
}

// Flags of kube-apiserver. encryptionConfig is the file, when there is one.
func (v Variant) Flags(encryptionConfig string) []string {
	var flags []string
	if v.JSON {
		flags = append(flags, "--storage-media-type=application/json")
	}
	if !v.WatchCache {
		flags = append(flags, "--watch-cache=false")
	}
	if v.Encryption != "" {
		flags = append(flags, "--encryption-provider-config="+encryptionConfig)
	}
	if v.HariKube {
		flags = append(flags, "--encryption-provider-config=",
			"--feature-gates=CustomResourceFieldSelectors=true,WatchList=true,WatchListClient=true",
			"--max-mutating-requests-inflight=400", "--max-requests-inflight=800")
	}
	return flags
}
