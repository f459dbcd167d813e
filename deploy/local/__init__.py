"""The platform on one machine, as `./rapport` runs it: engines, services, gateway and a mailbox.

bootstrap    makes .venv, with nothing but Python's own library
__main__     the commands
plan         what is to run, and where
processes    the table of what runs: everything is started and stopped by it
supervisor   owns the processes, and takes them with it when it goes
postgres, nats, mail_sink, balancer    what stands in for the servers of a cluster
"""
