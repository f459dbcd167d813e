"""What every service stands on, and nothing else: a module is here because each of them needs it.

A call
    settings       what the process is told from outside
    service        a service, from its composition root to an orderly end
    server         the gRPC server: road, health, reflection
    probes         what the cluster asks over HTTP: alive, ready, numbers
    rpc            the road every call takes
    access         who may call what, read from the contracts
    tokens         access tokens: ours, still good, whose
    revocations    which sessions and users have none any more
    validation     limits and required fields, read from the contracts
    cards          telling the numbers of cards from other digits
    masking        hiding them in what people write
    deadline       what is left of the call at hand
    client         channels to other services
    refusal        what a service will not do, and how it says so
    names          resource names and back
    pages          lists, a page at a time
    etags          the state of a resource that a caller has seen
    idempotency    a request that arrives twice is done once

Rows
    database       tables and sessions
    migrations     how a database gets its tables
    sealing        what has to be read again, under a key that no database holds
    personal_data  whom the tables hold; export, erasure, restriction and retention follow

Events
    subjects       where an event travels
    envelope       an event on the wire
    outbox         facts leave by the same door as rows
    leases         what one replica does at a time
    relay          from the outbox to the stream
    bus            the line to NATS
    streams        what an operator lays out in JetStream
    nats_rights    who may say and hear what there, read from the contracts
    consumer       hearing what others state
    hearing        all that one service hears in one process
    listener       bringing events to a handler
    inbox          what each consumer has seen
    dead_letters   what a consumer could not take in
    reader         listening without being remembered

Time and telling
    time           the clock
    cancellation   what was told to end ends
    collector      no look for garbage while all is loaded
    jobs           work that is due by the clock
    settlement     doing all that is due, until nothing is
    mail           mail leaves by the same door as facts
    log            one line for each thing that happened
    telemetry      numbers, and the ids that tie log lines together
    redaction      what may be written down
"""
