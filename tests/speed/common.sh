# shellcheck shell=bash
# What the measurements share: the server under test on core 0, wrk and all else on core 1.

server=${CARGO_TARGET_DIR:-target}/release/examples/check_cost
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ] ||
        { echo "$0: $1 is missing; apt-get install $2" >&2; exit 1; }
}

# CPU time that a process and its children have used, in clock ticks.
ticks() { # PID
    local pid total=0
    for pid in "$1" $(pgrep -P "$1"); do
        total=$((total + $(awk '{print $14 + $15}' "/proc/$pid/stat")))
    done
    echo "$total"
}

# Asks an address and prints: requests/s, CPU per request of the process, and p50, p99, p99.9 in microseconds.
ask() { # PID CONNECTIONS SECONDS URL
    local before after result
    before=$(ticks "$1")
    result=$(taskset -c 1 wrk -t1 -c"$2" -d"$3s" -s tests/speed/headers.lua "$4" | grep '^result ')
    after=$(ticks "$1")
    awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" '{
        if ($7 != 0) { print "not every answer was 200: " $7 " of " $2 > "/dev/stderr"; exit 1 }
        printf "%.0f %.2f %d %d %d\n", $2 / $3, t / hz / $2 * 1e6, $4, $5, $6
    }' <<<"$result"
}

median() { # COLUMN FILE
    awk -v column="$1" '{print $column}' "$2" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
