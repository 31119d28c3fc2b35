// SPDX-License-Identifier: Apache-2.0

package config

// samsaKeys are Samsa's own.
var samsaKeys = []Key{
	{Name: "samsa.admin.listener", Type: String, Default: "127.0.0.1:9644", Valid: adminAddress,
		Doc: "Address of metrics and /healthz, as host:port; none turns them off."},
	{Name: "samsa.durability", Type: String, Default: "journal", Valid: oneOf("journal", "kafka"),
		Doc: "When a record counts as written: journal means on disk, kafka means in the page cache until flush.messages or flush.ms is due."},
	{Name: "samsa.event.loops", Type: Int, Default: "0", Valid: between(0, 1024),
		Doc: "Event loops that connections are spread over; 0 takes half of the processors."},
	{Name: "samsa.journal.bytes", Type: Long, Default: "0", Valid: atLeastOr(1<<20, 0),
		Doc: "Size of each of a log directory's four journal files, in bytes; 0 takes 128 MiB or 1/80 of the file system, whichever is less."},
	{Name: "samsa.max.control.frame.bytes", Type: Int, Default: "0", Valid: atLeastOr(64<<10, 0),
		Doc: "Largest request that is neither a produce nor a fetch, in bytes; 0 takes 64 KiB above message.max.bytes, at least 1 MiB."},
	{Name: "samsa.memory.bytes", Type: Long, Default: "0", Valid: atLeastOr(16<<20, 0),
		Doc: "Memory for requests and answers of all connections, beyond 16 KiB each, in bytes; 0 takes queued.max.request.bytes, or 256 MiB."},
	{Name: "samsa.netpoll", Type: String, Default: "auto", Valid: oneOf("auto", "uring", "epoll", "portable"),
		Doc: "How sockets are served; auto takes the first that works here."},
}

// legacyKeys are addresses as Kafka before 3.0 had them. They act where
// listeners and advertised.listeners are not set.
var legacyKeys = []Key{
	{Name: "advertised.host.name", Type: String, Null: true,
		Doc: "Host told to clients, where advertised.listeners is not set; from Kafka before 3.0."},
	{Name: "advertised.port", Type: Int, Null: true, Valid: between(1, 65535),
		Doc: "Port told to clients, where advertised.listeners is not set; from Kafka before 3.0."},
	{Name: "host.name", Type: String, Null: true,
		Doc: "Host to listen on, where listeners is not set; from Kafka before 3.0."},
	{Name: "port", Type: Int, Null: true, Valid: between(0, 65535),
		Doc: "Port to listen on, where listeners is not set; from Kafka before 3.0."},
}
