# Phases of a run, in the foreground and beside it, and the count of their tests. To be read by a bash script with `set -euo pipefail`
# that defines SUITE_LIMIT, in seconds, and `clean_up`, and sets `finished=yes` after the last phase. Its last line is
# "N passed, N failed"; the exit status is 0 only if nothing failed.
readonly NOT_CHECKED=3 # status of what could not be done here: neither passed nor failed
work=$(mktemp -d)
passed=0
failed=0
unchecked=
finished=
declare -A beside=() # the processes of what runs beside the phase in the foreground, by name

finish() {
  local status=$? name
  trap - EXIT
  for name in "${!beside[@]}"; do
    stop_tree "${beside[$name]}"
    join "$name" || true
  done
  clean_up || true
  if [[ -s $work/failures ]]; then
    printf '\n== what failed, again\n'
    tail -n 400 "$work/failures"
  fi
  rm -rf "$work"
  if [[ -n $unchecked ]]; then echo "NOT CHECKED: $unchecked"; fi
  if [[ -z $finished && $failed -eq 0 ]]; then failed=1; fi
  if [[ $status -eq 0 && $failed -gt 0 ]]; then status=1; fi
  echo "$passed passed, $failed failed"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# phase NAME COMMAND…: runs the command in a subshell, says how long it took, returns its status. Where that is a condition, as in
# `phase … || …`, bash ignores `set -e` inside: such a command joins its steps with `&&`.
phase() {
  local name=$1 start=$SECONDS status outcome
  shift
  printf '\n== %s\n' "$name"
  set +e
  (
    trap - EXIT
    set -e
    "$@"
  )
  status=$?
  set -e
  case $status in
    0) outcome=ok ;;
    "$NOT_CHECKED") outcome='NOT CHECKED' ;;
    *) outcome="failed, status $status" ;;
  esac
  printf -- '-- %s: %s (%d s)\n' "$name" "$outcome" $((SECONDS - start))
  return "$status"
}

# begin NAME COMMAND…: runs the command beside the following phases. `join NAME` waits for it, prints its output whole, and returns its status.
begin() {
  local name=$1
  shift
  (
    trap - EXIT INT TERM HUP
    "$@"
  ) >"$work/output of $name" 2>&1 &
  beside[$name]=$!
}

join() {
  local status=0
  wait "${beside[$1]}" || status=$?
  unset "beside[$1]"
  cat "$work/output of $1"
  return "$status"
}

# Ends a process and all that it has started, the parent first, as it would start the next. Ctrl-C does not reach what runs beside.
stop_tree() {
  local child children
  children=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || return 0
  kill "$1" 2>/dev/null || true
  for child in $children; do stop_tree "$child"; done
}

# The number before a word in the summary at the end of bun's output; 0 without one.
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$2" | grep -Eo "^ *[0-9]+ $1\$" | tail -n 1 | grep -Eo '[0-9]+' || echo 0
}

# suite NAME DIRECTORY COMMAND… [-- VARIABLE=VALUE…]: a run of bun's tests there, with only these services configured.
suite() {
  local status=0
  run_suite "$@" || status=$?
  tally "$1" "$status"
}

# The same beside the following phases, until `join_suite NAME`.
begin_suite() { begin "tests of $1" run_suite "$@"; }

join_suite() {
  local status=0
  join "tests of $1" || status=$?
  tally "$1" "$status"
}

run_suite() {
  local name=$1 directory=$2 command=()
  shift 2
  while [[ $# -gt 0 && $1 != -- ]]; do
    command+=("$1")
    shift
  done
  shift $(($# > 0))
  phase "tests, $name" test_run "$work/suite $name" "$directory" "$@" "${command[@]}"
}

tally() {
  local output="$work/suite $1" status=$2 pass fail
  touch "$output" # not there if its process was killed at once
  pass=$(count pass "$output")
  fail=$(count fail "$output")
  if [[ $fail -eq 0 && $status -ne 0 ]]; then
    echo "the run crashed or was too slow (status $status): counted as a failure"
    fail=1
  elif [[ $((pass + fail)) -eq 0 ]]; then
    echo 'no test ran: counted as a failure'
    fail=1
  fi
  passed=$((passed + pass))
  failed=$((failed + fail))
  # Bun lists the failed tests once more after this line, without their words.
  sed '/tests\{0,1\} failed:$/,$d' "$output" | grep -aB 60 '^(fail)' >>"$work/failures" || true
}

test_run() {
  local output=$1 directory=$2
  shift 2
  cd "$directory"
  timeout --kill-after=20 "$SUITE_LIMIT" env -u KAFKA_BROKERS -u DATABASE_URL -u REDIS_URL "$@" 2>&1 | tee "$output"
}
