-- SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
-- What applications see otherwise than with plain TCP once a connection is redirected; all features that
-- are not here are the same. The outcomes are those of sockfeat.c, word for word. why: what it means for
-- an application; maybe: on some kernels, or in some runs, it is the same.

local known = {}

---Of sockets that the redirect takes by default.
known.different = {
  rcvlowat = { why = "poll says that there is data before there is as much as SO_RCVLOWAT",
    "poll with 4 of 10=IN ; recv=4 '1234'; recv with 6 more=6 '567890'; poll with 10 at once=IN ; "
      .. "recv=10 'abcdefghij'" },
  zero_length = { why = "a receive of no bytes returns 0 where TCP says EAGAIN",
    "recv 0 without data=0; recv 0 with data=0; peek 0 with data=0; send 0=0; recv=4 'data'; then=EAGAIN" },
  trunc = { why = "data can't be thrown away without a buffer: EFAULT, and it stays",
    "recv of 3 to nowhere=EFAULT; recv of 4 to nowhere=EFAULT; then=9 'wastedata'" },
  fionread = { why = "FIONREAD is 0 for data that was redirected, on 6.1", maybe = true,
    "FIONREAD=0; FIONREAD=0; FIONREAD=0; recv=4 'hell'; FIONREAD=0; recv=8 'oa world'; FIONREAD=0" },
  fionread_full = { why = "FIONREAD is 0 for data that came by TCP, on 6.18", maybe = true,
    "all arrived=1; FIONREAD=0 although poll says IN: yes" },
  peek_off = { why = "SO_PEEK_OFF is ignored: each peek begins at the front",
    "peek 4=4 'hell'; peek 4=4 'hell'; recv 5=5 'hello'; peek 4=4 'worl'; recv 100=5 'world'" },
  tcp_inq = { why = "no TCP_CM_INQ with the data",
    "recvmsg=4 'hell'; recvmsg=6 'oworld'" },
  timestamp = { why = "no time with the data", "recvmsg=5 'hello'" },
  timestampns = { why = "no time with the data", "recvmsg=5 'hello'" },
  rx_timestamping = { why = "no time with the data", "recvmsg=5 'hello'" },
  tx_timestamping = { why = "no times of what was sent",
    "recv=5 'hello'; poll=0; recvmsg=EAGAIN; recvmsg=EAGAIN; recvmsg=EAGAIN" },
  oob = { why = "urgent data is data like any other, in its place",
    "urgent before there is=EAGAIN; send urgent=1; SIOCATMARK=0; recv=5 'abXcd'; SIOCATMARK=0; "
      .. "urgent=EAGAIN; recv=EAGAIN; SIOCATMARK=0" },
  oob_inline = { why = "urgent data is data like any other, there is no mark",
    "send urgent=1; recv=5 'abXcd'; SIOCATMARK=0; urgent=EAGAIN; recv=EAGAIN; SIOCATMARK=0" },
  oob_poll = { why = "urgent data is no POLLPRI",
    "poll=0; send urgent=1; poll=IN ; urgent=1 'X'; poll=0" },
  splice_from = { why = "splice() from the socket says EAGAIN whatever there is; recv() has it",
    "splice=EAGAIN; in the pipe=EAGAIN; recv=5 'hello'; splice without data=EAGAIN; splice at the end=0" },
  zerocopy = { why = "no completion: who waits for it waits for ever",
    "send=20000; the same=1; no completion: EAGAIN" },
  tcp_info = { why = "counts of bytes and segments stand still; the redirect counts instead",
    "state 1 and 1; bytes_sent +0; bytes_acked +0; bytes_received +0; data_segs_out +0; "
      .. "data_segs_in +0; notsent 0; unacked 0" },
  cork = { why = "TCP_CORK holds nothing back: all comes, earlier",
    "there while corked=1; recv=6 'abcdef'" },
  more = { why = "MSG_MORE holds nothing back: all comes, earlier",
    "send with MSG_MORE=3; there=1; send=3; recv=6 'abcdef'" },
  repair = { why = "sequence numbers don't count redirected data: a checkpoint would lose what is queued",
    "its sequence number +0; peek at the receive queue=5 'hello'; recv=5 'hello'; then: both ways" },
  close_unread = { why = "close() with unread data that was redirected ends with FIN: the writer sees an "
      .. "ordinary end, no reset",
    "poll=IN OUT RDHUP ; recv=6 'answer'; recv=0; send=1" },
  ktls = { why = "TLS in the kernel can't be switched on any more", maybe = true,
    "TCP_ULP of the client=0; of the server=0; keys to send=EINVAL" },
  set_blocking = { why = "made blocking after it was taken: as a blocking socket (signal_restart_b)",
    "recv blocked; recv after a signal=EAGAIN; recv with data=EAGAIN; recv again=4 'data'" },
}

---Of blocking sockets, which the redirect takes only if it is told to.
known.different_blocking = {
  -- what comes by TCP wakes TCP's own receive, which waits for all
  waitall_b = { why = "MSG_WAITALL returns a part", maybe = true,
    "with 4 of 10 bytes=4 'half'; with 11=4 'half'; then=7 ' + half'" },
  rcvlowat_b = { why = "SO_RCVLOWAT is ignored",
    "poll with 4 of 10=IN ; recv=4 '1234'; recv with 6 more=6 '567890'" },
  signal_restart_b = { why = "a signal ends recv() with EAGAIN; TCP goes on waiting",
    "handled=0; handled=1; recv after the signal=EAGAIN; recv again=4 'data'" },
  signal_eintr_b = { why = "a signal ends recv() with EAGAIN, not EINTR",
    "handled=0; handled=1; recv after the signal=EAGAIN; recv again=4 'data'" },
  rst_blocked_b = { why = "a reset ends a waiting recv() with EAGAIN; the next one says ECONNRESET",
    "recv after the reset=EAGAIN; recv again=ECONNRESET" },
  -- taken while the receive that it waits in was TCP's own, or after that
  start_waitall_b = { why = "MSG_WAITALL returns a part", maybe = true,
    "still waits=0; recv=32 '" .. ("e"):rep(32) .. "'; then=32 '" .. ("e"):rep(32) .. "'" },
  zero_length_b = known.different.zero_length,
  oob_b = { why = "urgent data is data like any other; MSG_OOB without any waits instead of EINVAL",
    "urgent before there is=EAGAIN; send urgent=1; SIOCATMARK=0; recv=5 'abXcd'; SIOCATMARK=0; "
      .. "urgent blocked; recv=EAGAIN; SIOCATMARK=0" },
  splice_from_b = { why = "splice() from the socket waits for ever", "splice blocked" },
}

---Connections that are refused: the reason. The end that has none of its own says "alone".
known.refused = {
  rcvlowat_before = "option",
  peek_off_before = "option",
  tcp_inq_before = "option",
  timestamp_before = "option",
  timestampns_before = "option",
  rx_timestamping_before = "option",
  tx_timestamping_before = "option",
  oob_inline_before = "option",
  zerocopy_before = "option",
  ktls_before = "ulp",
  sockmap_before = "owned",
  mptcp_both = "ulp",
  mptcp_client = "ulp",
}

return known
