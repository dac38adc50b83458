# Prints "name <tab> endpoint <tab> policy" for each rule of a topology file in
# block style, for people to read: the parser that counts is libstorage's.
BEGIN { indent = "" }

function unquoted(text) {
  sub(/^[ \t]+/, "", text)
  sub(/[ \t]+#.*$/, "", text)
  sub(/[ \t\r]+$/, "", text)
  if (text ~ /^".*"$/ || text ~ /^'.*'$/) text = substr(text, 2, length(text) - 2)
  return text
}

function flush() {
  if (endpoint != "") printf "%s\t%s\t%s\n", name, endpoint, policy detail
  endpoint = name = policy = detail = ""
}
/^[ \t]*#/ || /^backends:/ { next }
/^[ \t]*- / {
  match($0, /^[ \t]*/)
  if (indent == "") indent = RLENGTH
  if (RLENGTH != indent) { detail = detail " " unquoted(substr($0, RLENGTH + 3)); next } # of kinds:
  flush()
  sub(/- /, "  ")
}
{
  colon = index($0, ":")
  if (!colon) next
  key = unquoted(substr($0, 1, colon - 1))
  value = unquoted(substr($0, colon + 1))
  if (key == "endpoint") endpoint = value
  else if (key == "name") name = value
  else if (key ~ /^(prefix|regexp|namespace|customresource)$/ && value == "") policy = key
  else if (key ~ /^(prefix|key|namespace|kinds|group|kind)$/ && policy != "") detail = detail " " key "=" value
}
END { flush() }
