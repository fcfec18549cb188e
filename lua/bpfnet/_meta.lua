-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
---@meta bpfnet
-- luacheck: ignore
-- Annotations of the module `bpfnet`, also the global `bpf`, for editors; it is never loaded.

---@class bpf
---@field version string of bpfnet, as "0.1.0"
local bpf = {}

---What a filter takes: one value or a list of which one has to match. All named filters must pass. Which
---ones a probe has, `bpfnet probes NAME` tells, and its own class, as bpf.TcpcloseFilter.
---@class bpf.Filter
---@field pid? integer|integer[] process that owns the socket
---@field tid? integer|integer[] thread that connected or accepted
---@field uid? integer|integer[]
---@field netns? integer|string|(integer|string)[] inode number, name of `ip netns`, or a path as "/proc/1/ns/net"
---@field cgroup? integer|string|(integer|string)[] id, or the path of a cgroup v2 directory
---@field family? string|string[] "ipv4", "ipv6"; of packets also "arp"
---@field sport? integer|integer[] this host's port
---@field dport? integer|integer[] the peer's port
---@field port? integer|integer[] either of them
---@field comm? string|string[] the first 15 bytes count
---@field saddr? string|string[] address or network of this host, "10.0.0.0/8"
---@field daddr? string|string[] of the peer
---@field addr? string|string[] of either
---@field ifname? string|string[] network device, of packets
---@field ifindex? integer|integer[]
---@field mark? integer|integer[]
---@field vlan? integer|integer[]
---@field proto? string|string[] "tcp", "udp", "icmp", …
---@field pod? string|string[] "shop/cart-0" or the name alone, with * and ?; "!kube-system/*" is all others
---@field namespace? string|string[] as all of these with * and ?
---@field container? string|string[]
---@field image? string|string[]
---@field runtime? string|string[]
---@field sidecar? boolean
---@field label? table<string, string>
---@field where? string expression over these but label: `pod != "kube-system/*" or sidecar`

---@class bpf.Opts
---@field filter? bpf.Filter what does not pass never leaves the kernel
---@field where? string expression over the fields, decided in the kernel: "dport == 443 and tx_bytes > 1MiB"
---@field pcap? string packet filter in tcpdump's syntax, for probes that see packets: "tcp port 443 and host 10.0.0.1"
---@field sample? number part of connections to look at, above 0 to 1; either end and every probe agree
---@field threshold? string expression for what is sent; aggregations get the rest as well
---@field rate? integer|{ [1]: integer, by: string|string[] } events a second, for each combination of values
---@field fields? string[] the handler gets these fields as arguments, at most 32
---@field buffer? integer bytes of a ring of its own, up to 2^30; without it probes share one ring
---@field latency? "low" every event wakes bpfnet at once, which costs the traced process microseconds
---@field way? string way to hook to be taken, see bpf.probes(); default the first that works
---@field pods? boolean event tables have pod, namespace and container
---@field points? string|string[] names of points and of groups of them, or "all"; default those that
---  are not optional. As a string with commas between.
---@field paths? boolean of podnet: one event for each packet when it has ended, with all its points
---@field between? string[]|string[][] of podnet: one or up to 8 pairs of points; an event for each that a packet passed
---@field slower_than? number of podnet, seconds: only paths that took longer
---@field dropped? boolean of podnet: only paths that ended in a drop
---@field stack? boolean of podnet: the kernel's stack with each event
---@field timeout? number of podnet, seconds: a packet of which nothing is heard for so long has ended

---Counts since the probe was opened. events + dropped + filtered + sampled + limited + aggregated
---+ missed is what happened.
---@class bpf.Stats
---@field events integer delivered
---@field dropped integer lost, for the ring was full, or the handler too slow at the end
---@field filtered integer kept out by filter, where, or threshold
---@field sampled integer of connections that the sample leaves out
---@field limited integer above the rate
---@field aggregated integer added up in the kernel and not sent
---@field untracked integer sockets that did not fit the table of sockets: their owner is unknown
---@field malformed integer could not be decoded
---@field missed integer runs that the kernel left out, the program being interrupted on that CPU
---@field unread integer found no room in the queue of events(), which nobody read

---An event. An ordinary table, which may be kept; print() shows its fields in order. Each probe's has a
---class of its own, as bpf.TcpcloseEvent. What is unknown is nil.
---@class bpf.Event
---@field probe string name of the probe
---@field ts_ns integer time of the event, CLOCK_MONOTONIC
---@field pod? string whose it is: see bpfnet.pod. All of these are nil outside of containers
---@field namespace? string
---@field container? string
---@field image? string
---@field pod_uid? string
---@field runtime? string
---@field sidecar? boolean
local Event = {}

---Returns the event as a JSON object, integers exact, unknown fields as null.
---@return string
function Event:json() end

---A map of a probe: `map[key]`, `map[key] = value`, `map[key] = nil`, `for k, v in pairs(map)`. Keys
---and values are numbers, or tables of the struct's fields; a per-CPU map gives a list of values and
---can't be written.
---@class bpf.Map
---@field [any] any
local Map = {}

---Deletes all keys.
function Map:clear() end

---@class bpf.Probe
---@field name string
---@field state "open"|"loaded"|"attached"|"closed"
---@field fields string[] of its event, in order
---@field maps table<string, bpf.Map> by name; of a probe that is loaded
---@field points? bpf.PointInfo[] as they are now; nil for a probe that has none
local Probe = {}

---Attaches a probe that was loaded or detached. Raises if the kernel refuses.
---@return bpf.Probe self
function Probe:attach() end

---Stops its events. What it had sent before is delivered first, unless the loop is running, which
---then delivers it. attach() starts it again.
---@return bpf.Probe self
function Probe:detach() end

---Ends it for good, as garbage collection and a <close> variable do. May be called twice.
function Probe:close() end

---Its events go on coming, but bpf.run() does not wait for them alone.
---@return bpf.Probe self
function Probe:background() end

---Replaces the handler.
---@param on_event? function nil: events are counted but go nowhere
---@return bpf.Probe self
function Probe:on_event(on_event) end

---Reads the filter, or puts another in force, at once and for all its kinds together.
---@param filter? bpf.Filter {} lets everything pass
---@return bpf.Filter? filter in force
function Probe:filter(filter) end

---Reads the expression in force, or puts another in force: each event is decided on by the old or by
---the new one. Raises with the place in the text; then the old one stays.
---@param where? string "" lets everything pass
---@return string? where in force
function Probe:where(where) end

---Likewise for the packets that are followed. Raises for a probe that sees no packets.
---@param pcap? string "" lets all pass
---@return string? pcap in force
function Probe:pcap(pcap) end

---Likewise for what is sent.
---@param threshold? string
---@return string? threshold in force
function Probe:threshold(threshold) end

---Changes the part of connections that is looked at.
---@param part number above 0 to 1
---@return bpf.Probe self
function Probe:sample(part) end

---Changes the limit; nil ends it.
---@param rate? integer|{ [1]: integer, by: string|string[] }
---@return bpf.Probe self
function Probe:rate(rate) end

---Makes an aggregation that the kernel fills with this probe's events from now on. While the probe
---has no handler, no event is sent. What was counted can be read after the probe is closed.
---@param opts bpf.AggregateOpts
---@return bpf.Aggregate
function Probe:aggregate(opts) end

---Iterates over events as they come; the handler gets none meanwhile. A loop value is the event, or
---the values of the fields where the probe has `fields`. Ends after the time, at bpf.stop() and at
---Ctrl-C. Events wait in a queue of 65536 at most.
---@param seconds? number without it: no end
---@return fun(): any
function Probe:events(seconds) end

---@return bpf.Stats
function Probe:stats() end

---Sends an event of the script's own making through the handler, for tests. Fields that are not
---named are 0, "", or nil where they may be unknown. Raises what the handler raises.
---@param event table<string, any>
function Probe:inject(event) end

---@class bpf.Timer
local Timer = {}

---It goes on, but bpf.run() does not wait for it alone.
---@return bpf.Timer self
function Timer:background() end

---Stops the timer for good. May be called twice.
function Timer:close() end

---What is kept per key. A name, or a list of names: the row then has a table by the field's name.
---@class bpf.AggregateOpts
---@field by? string|string[] fields that make the key; without it there is a single row
---@field count? true every row has it anyway
---@field sum? string|string[]
---@field min? string|string[]
---@field max? string|string[]
---@field avg? string|string[]
---@field hist? string|string[] distribution; a field named *_ns, *_us or *_ms in the buckets of seconds
---@field topk? integer rows that rows() and take() give; the others are added up in rows.other
---@field sort? string "count", "sum", "max.rx_bytes": greatest first; default the first of sum, else count
---@field max_keys? integer default 10,000; what finds no room is added up in rows.other

---@class bpf.AggregateView
---@field top? integer instead of topk
---@field sort? string

---A row, with the fields of `by` by their names.
---@class bpf.AggregateRow
---@field count integer events
---@field sum? integer|number|table<string, integer> a float only where no integer holds it
---@field min? integer|table<string, integer> nil if no value was other than nil
---@field max? integer|table<string, integer>
---@field avg? number|table<string, number> of the values that were not nil
---@field hist? bpfnet.Hist|table<string, bpfnet.Hist>
---@field [string] any

---@class bpf.AggregateRows
---@field [integer] bpf.AggregateRow greatest first
---@field other? bpf.AggregateRow all else added up: rows that are not shown, and what found no room

---Count, sum, min, max, avg and histograms by any fields. `#agg` is the number of keys.
---@class bpf.Aggregate
---@field fields string[] what add() takes, in order: by, then each value once as sum, min, max, avg and
---  hist name them in turn
---@field overflow integer events that found no room for their key, and so are in rows.other
---@field dropped integer events that are in no row
local Aggregate = {}

---Adds an event: its table, or the values of `fields`, all of them. nil in the key is a key like any
---other; nil as a value is counted by `count` alone. Raises for what is of the wrong type.
---@param ... any
function Aggregate:add(...) end

---Returns add() as a function of its own, without the aggregation: for a handler, with
---`fields = agg.fields`.
---@return fun(...)
function Aggregate:adder() end

---Returns the rows as they are now.
---@param view? bpf.AggregateView
---@return bpf.AggregateRows
function Aggregate:rows(view) end

---Returns the rows and forgets them in one: nothing is counted twice or lost between.
---@param view? bpf.AggregateView
---@return bpf.AggregateRows
function Aggregate:take(view) end

---Returns the row of a key.
---@param ... any the key's parts, all of them
---@return bpf.AggregateRow? row
function Aggregate:row(...) end

---Adds what another one has counted. Raises unless both have the same fields and keep the same of them.
---@param other bpf.Aggregate
---@return bpf.Aggregate self
function Aggregate:merge(other) end

---Forgets everything.
---@return bpf.Aggregate self
function Aggregate:clear() end

---Gives the memory back, as garbage collection and a <close> variable do. May be called twice.
function Aggregate:close() end

---Makes an empty aggregation.
---@param opts bpf.AggregateOpts
---@return bpf.Aggregate
function bpf.aggregate(opts) end

---A program of a probe. Those with the same `what` and another `way` are alternatives.
---@class bpf.WayInfo
---@field program string
---@field what string "": always loaded
---@field way string
---@field hook string as "tp_btf/inet_sock_set_state"
---@field used boolean the way taken here
---@field loses string what is lost by it, or ""

---A place that a probe with points looks at.
---@class bpf.PointInfo
---@field name string
---@field group string
---@field optional boolean hooked only if it is named
---@field wanted boolean
---@field way? "tracepoint"|"fentry"|"multi"|"kprobe" nil: not seen
---@field where string functions or tracepoint in use, or ""
---@field why string why it is not seen, or ""

---@class bpf.FieldInfo
---@field name string
---@field type string for the eye: "integer", "address", "errno name", …
---@field doc string
---@field optional boolean it may be nil
---@field values? string[] names that it may have
---@field entry? bpf.FieldInfo[] of a list: what each entry has

---@class bpf.ProbeInfo
---@field name string
---@field doc? string
---@field available? boolean
---@field why? string why it is not
---@field fields? bpf.FieldInfo[]
---@field filters? string[]
---@field ways? bpf.WayInfo[]
---@field points? bpf.PointInfo[] all of them, of a probe that has points

---Returns what probes there are, and which work here: each is attached for a moment, but not one with points.
---@param opts? { try: boolean?, name: string? } try = false: none is, and `available` nil; name: that one alone
---@return bpf.ProbeInfo[]
function bpf.probes(opts) end

---Calls a function again and again. The first time after one period; periods missed are left out.
---@param seconds number at least 0.001
---@param f fun()
---@return bpf.Timer
function bpf.every(seconds, f) end

---Calls a function once.
---@param seconds number
---@param f fun()
---@return bpf.Timer
function bpf.after(seconds, f) end

---Delivers events and runs timers. A script that does not call it is run on after its end, while
---something is attached. Raises what a handler raised, and when called from a handler.
---@param seconds? number without it: until stopped
---@return "stopped"|"timeout"|"idle"|"interrupted" how stopped: by bpf.stop(); idle: neither probe
---  nor timer is left; interrupted: Ctrl-C, SIGTERM or SIGHUP. The next call after that raises.
function bpf.run(seconds) end

---Makes bpf.run() return after the callback that calls this.
function bpf.stop() end

---Returns the time, comparable with ts_ns of events.
---@return integer ns CLOCK_MONOTONIC
function bpf.now() end
---Returns the names of all probes, without trying any.
---@return string[]
function bpf.probe_names() end

---Writes a line to standard error. Levels up to "warn" are shown, with -v "info", with -vv "debug".
---@param level "error"|"warn"|"info"|"debug"
---@param format string as for string.format
---@param ... any
function bpf.log(level, format, ...) end

---Returns a value as JSON. Integers are exact; bytes that are not UTF-8 become U+FFFD; a table with
---[1] is an array, an empty one an object. Raises for functions, userdata and nesting beyond 64.
---@param value any
---@param order? string[] members of the object that come first, null if it lacks them
---@return string
function bpf.json(value, order) end

---@type bpf
_G.bpf = bpf

return bpf
