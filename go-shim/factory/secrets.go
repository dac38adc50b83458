package factory

import (
	"encoding/csv"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Upstream prints every flag at start (FLAG: --name="value"), on /flagz, and the
// whole storagebackend.Config with -v=3. So the flags that may hold a password
// print it hidden, and the config has --etcd-servers=multi://… only as it is
// printed: what was written stays in Options.

// serversValue is the value of --etcd-servers.
type serversValue struct {
	pflag.Value // upstream's, a list
	options     *Options
	changed     bool
}

// Set keeps an endpoint behind multi:// whole: a comma in a password divides
// nothing. No error repeats a password: pflag would print it with ours.
func (v *serversValue) Set(text string) error {
	servers := []string{text}
	if text == "" {
		servers = nil
	} else if !strings.HasPrefix(text, multi) {
		fields, err := csv.NewReader(strings.NewReader(text)).Read()
		if err == nil {
			servers = fields
		} else if redact(text) == text {
			return err
		} // else it is refused later, as an endpoint without multi://
	}
	if !v.changed {
		v.options.servers, v.changed = nil, true
	}
	v.options.servers = append(v.options.servers, servers...)
	return v.Value.(pflag.SliceValue).Replace(shown(v.options.servers))
}

func (v *serversValue) String() string { return redactList(v.Value) }

// shown is what the config gets of the servers: other storages than ours need
// theirs as they were written.
func shown(servers []string) []string {
	if len(servers) == 0 || !strings.HasPrefix(servers[0], multi) {
		return servers
	}
	out := make([]string, len(servers))
	for i, server := range servers {
		out[i] = redact(server)
	}
	return out
}

// serversOf undoes shown. A config that was not made by flags has its own list.
func serversOf(o *Options, list []string) []string {
	if slices.Equal(shown(o.servers), list) {
		return o.servers
	}
	return list
}

// redactedList is a list of upstream's whose items print without passwords.
type redactedList struct{ pflag.Value }

func (v redactedList) String() string { return redactList(v.Value) }

func redactList(v pflag.Value) string {
	list, ok := v.(pflag.SliceValue)
	if !ok {
		return redact(v.String())
	}
	items := slices.Clone(list.GetSlice())
	for i := range items {
		items[i] = redact(items[i])
	}
	return "[" + strings.Join(items, ",") + "]"
}

// endpointValue is a flag with one endpoint.
type endpointValue struct{ to *string }

func (v endpointValue) Set(text string) error { *v.to = text; return nil }
func (v endpointValue) Type() string          { return "string" }
func (v endpointValue) String() string {
	if v.to == nil { // pflag asks a zero value
		return ""
	}
	return redact(*v.to)
}

// hidePasswords changes how upstream's flags print.
func hidePasswords(fs *pflag.FlagSet, o *Options) {
	if f := fs.Lookup("etcd-servers"); f != nil {
		if _, ok := f.Value.(pflag.SliceValue); ok {
			f.Value = &serversValue{Value: f.Value, options: o}
			f.DefValue = f.Value.String()
		}
	}
	if f := fs.Lookup("etcd-servers-overrides"); f != nil {
		f.Value = redactedList{f.Value}
		f.DefValue = f.Value.String()
	}
}

const hidden = "***"

var (
	brackets   = regexp.MustCompile(`\[[0-9a-fA-F:.%]*\]`)
	noPort     = regexp.MustCompile(`:[0-9]*[^0-9/,)]`)
	secretName = regexp.MustCompile(`(?i)pas|pwd|secret|token|key|auth|salt`)
	aPassword  = regexp.MustCompile(`(?i)pas|pwd|secret|token`)
)

// redact hides what may be a password in an endpoint of any kind, right or wrong:
// rather too much than too little.
func redact(endpoint string) string {
	text, _ := redacted(endpoint)
	return text
}

// hasPassword finds a password in an endpoint.
func hasPassword(endpoint string) bool {
	_, found := redacted(endpoint)
	return found
}

func redacted(endpoint string) (text string, password bool) {
	rest := strings.TrimPrefix(endpoint, multi)
	head := endpoint[:len(endpoint)-len(rest)]
	scheme, rest, found := strings.Cut(rest, "://")
	if !found {
		if strings.ContainsAny(scheme, "@=") {
			return head + hidden, true
		}
		return endpoint, false
	}
	head += scheme + "://"
	if scheme == "file" { // behind multi:// : the path of one
		return endpoint, false
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && scheme != "sqlite" {
		colon := strings.IndexByte(rest[:at], ':')
		switch {
		case strings.ContainsRune(rest[:at], '?'): // in a password, or in an option behind one?
			return head + hidden, true
		case colon >= 0 && colon+1 < at && rest[colon+1:at] != hidden:
			head, rest, password = head+rest[:colon+1]+hidden, rest[at:], true
		default:
			head, rest = head+rest[:at], rest[at:]
		}
	}
	rest, query, found := strings.Cut(rest, "?")
	switch scheme {
	case "mysql", "postgres", "postgresql":
		if noPort.MatchString(brackets.ReplaceAllString(rest, "")) { // of a password without its host
			return head + hidden, true
		}
	}
	if !found {
		return head + rest, password
	}
	query, inQuery := redactQuery(query)
	return head + rest + "?" + query, password || inQuery
}

// redactQuery hides the values of options that may be secrets, and all that
// follows: it may be the rest of one, behind a "&" that was not written as %26.
func redactQuery(query string) (text string, password bool) {
	items := strings.Split(query, "&")
	for i, item := range items {
		name, _, found := strings.Cut(item, "=")
		if item == "" || (found && !secretName.MatchString(name)) {
			continue
		}
		items[i] = hidden
		if found {
			items[i] = name + "=" + hidden
		}
		password = item != items[i] && name != "passfile" && (!found || aPassword.MatchString(name))
		return strings.Join(items[:i+1], "&"), password
	}
	return query, false
}
