# What `make run` prints when the control plane is ready. Sourced, never run.
# shellcheck shell=bash
: "${here:?}" "${run:?}" "${topology:?}" "${default_database:?}" "${metadata_store:?}"

# table: aligned columns of endpoints without their passwords and options.
table() { sed -E 's#(://[^:/@[:space:]]+):[^@[:space:]]*@#\1:***@#; s#\?[^[:space:]]*##' | column -t -s $'\t' | sed 's/^/  /'; }

report() {
  local kubectl="$run/bin/kubectl --kubeconfig $run/kubeconfig"
  say
  say "kubeconfig   $run/kubeconfig"
  say "topology     $topology (paths count from $run)"
  say
  say "what is stored where (the first rule that matches decides)"
  {
    awk -f "$here/topology.awk" "$topology"
    printf 'default database\t%s\teverything else\nmetadata store\t%s\trevisions, routes\n' "$default_database" "$metadata_store"
  } | table
  say
  say "to try"
  say "  $kubectl get --raw '/healthz?verbose'"
  say "  $kubectl create deployment web --image=nginx --replicas=3"
  say "  $kubectl get pods --watch"
  say
  say "Ctrl-C stops it; the data stay."
}
