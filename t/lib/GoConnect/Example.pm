package GoConnect::Example;

# The cluster of conf/cluster/, from its very files. Its three machines are hosts
# of a GoConnect::Lab on one LAN, with a folder each for /etc, /var and /run; of
# the files only addresses, names, passwords, paths and limits are filled in.
#
#   my $example = GoConnect::Example->start;      # takes root; enters the lab
#   my $client = $example->client;                # a GoConnect::Server
#   $example->crash('one');                       # kill -9 of its database
#   $example->cable('one', 'down');               # nobody reaches the machine
#   $example->patronictl('switchover', ...);
#   $example->stop;

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use GoConnect::Cluster;
use GoConnect::Lab;
use GoConnect::Server;
use IO::Socket::UNIX;
use Mojo::JSON qw(decode_json);
use Mojo::UserAgent;
use POSIX qw(:sys_wait_h);
use Scalar::Util qw(weaken);
use Time::HiRes qw(sleep time);
use parent 'GoConnect::Example::Files';

our $ROOT = $GoConnect::Cluster::ROOT;
our $WAIT = 180;    # seconds, only so that nothing hangs for ever

my @started;

sub start {
    my ($class) = @_;
    my $dir = tempdir('gcex-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    chmod 0755, $dir;
    my $self = bless { dir => $dir, owner => $$, job => {},
        password => { map { $_ => _random() } qw(REST SUPERUSER REPLICATION REWIND GOCONNECT BUS TOKEN) },
    }, $class;
    weaken($started[@started] = $self);
    my $lab = $self->{lab} = GoConnect::Lab->new;
    for my $machine ($self->machines) {
        $self->{host}{$machine} = $lab->host($machine, $machine eq 'one' ? () : (with => 'one'));
    }
    $lab->enter;
    $self->_folders;
    $self->up('etcd', $_) for qw(one two three);
    $self->_await('etcd', sub { !grep { !$self->_etcd_well($_) } qw(one two three) });
    $self->up('patroni', 'one');
    $self->_await('a primary', sub { $self->primary });
    $self->up('patroni', 'two');
    $self->await_standby;
    $self->_database;
    $self->up('redis', 'three') if $self->has_redis;
    $self->up('nginx', $_) for qw(one two);
    $self->up('haproxy', 'three');
    $self->_tunnel;
    $self->_await('a ready node', sub { $self->ready });
    return $self;
}

sub _random { return join '', map { sprintf '%08x', rand 2**32 } 1 .. 4 }

sub dir { $_[0]{dir} }
sub address { my ($self, $machine) = @_; return $self->{host}{$machine}->address }

# ---------------------------------------------------------------- the processes

# As the units start them, under their users.
sub _command {
    my ($self, $kind, $machine) = @_;
    my $at = "$self->{dir}/$machine";
    my @as = ("$ROOT/scripts/as");
    return (@as, 'etcd', 'TERM', $at, 'sh', '-c', 'set -a; . "$0"; exec etcd --logger zap', "$at/etc/env")
        if $kind eq 'etcd';
    return (@as, 'postgres', 'TERM', $at, 'patroni', "$at/etc/patroni/config.yml") if $kind eq 'patroni';
    return (@as, 'redis', 'TERM', $at, 'redis-server', "$at/etc/redis/redis.conf", '--daemonize', 'no')
        if $kind eq 'redis';
    return ('setpriv', '--pdeathsig', 'TERM', '--', 'haproxy', '-W', '-f', "$at/etc/haproxy/haproxy.cfg")
        if $kind eq 'haproxy';
    my $user = $self->node_user;
    my $group = getgrgid((getpwnam $user)[3]);
    # the capability of the unit; the folder may be below somebody's home
    my @cap = map { ("--inh-caps=+$_", "--ambient-caps=+$_") } 'net_bind_service';
    return ('setpriv', "--reuid=$user", "--regid=$group", '--init-groups', $user eq 'root' ? () : @cap,
        '--pdeathsig', 'TERM', '--', '/usr/sbin/nginx', '-e', "$at/var/log/goconnect/error.log",
        '-p', "$at/", '-c', "$at/etc/goconnect/nginx.conf");
}

# Starts etcd, patroni, nginx, redis or haproxy of a machine.
sub up {
    my ($self, $kind, $machine) = @_;
    croak "$kind of $machine runs" if $self->{job}{"$kind $machine"};
    my $at = "$self->{dir}/$machine";
    if ($kind eq 'etcd') {
        # systemd reads it as root and hands it over
        system 'install', '-m', '644', "$at/etc/etcd", "$at/etc/env";
    }
    my @command = $self->_command($kind, $machine);
    $self->_spawn("$kind $machine", "$at/var/log/$kind.log", @command);
    return $self;
}

sub _spawn {
    my ($self, $name, $log, @command) = @_;
    my $host = $self->{host}{ (split ' ', $name)[1] // '' };
    my @in = $host ? ('nsenter', '--net=' . $host->netns, '--') : ();
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        delete @ENV{ grep { /^(?:PG|ETCD|PATRONI)/ } keys %ENV };
        $ENV{LC_ALL} = 'C.UTF-8';
        POSIX::setsid();
        exec @in, @command or POSIX::_exit(127);
    }
    $self->{job}{$name} = { pid => $pid, log => $log };
    return;
}

# Ends one (TERM unless said) and waits for its end.
sub down {
    my ($self, $kind, $machine, $signal) = @_;
    return $self->_end("$kind $machine", $signal);
}

sub _end {
    my ($self, $name, $signal) = @_;
    my $job = delete $self->{job}{$name} or return;
    my @also = ($signal // '') eq 'KILL' ? _below($job->{pid}) : ();
    kill $signal // 'TERM', $job->{pid}, @also;
    my $end = time + 60;
    while (waitpid($job->{pid}, WNOHANG) == 0) {
        kill 'KILL', $job->{pid} if time > $end;
        sleep 0.01;
    }
    return $self;
}

# All descendants of a process, down to the last.
sub _below {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/task/$pid/children" or return;
    return map { ($_, _below($_)) } split ' ', scalar(<$fh>) // '';
}

# The database of a machine is gone from one moment to the next: Patroni and
# every process of PostgreSQL.
sub crash {
    my ($self, $machine) = @_;
    my $job = delete $self->{job}{"patroni $machine"} or croak "no patroni on $machine";
    my $postmaster = $self->_postmaster($machine);
    kill 'STOP', $job->{pid}, $postmaster // ();
    my @all = map { ($_, _below($_)) } $job->{pid}, $postmaster // ();
    kill 'KILL', @all;
    waitpid $job->{pid}, 0;
    $self->_await("the end of the database of $machine", sub { !grep { _runs($_) } @all });
    return $self;
}

# kill -9 of PostgreSQL, not of Patroni; waits until all of it is gone.
sub kill_postgres {
    my ($self, $machine) = @_;
    my $postmaster = $self->_postmaster($machine) or croak "no database on $machine";
    kill 'STOP', $postmaster;
    my @all = ($postmaster, _below($postmaster));
    kill 'KILL', @all;
    $self->_await("the end of the database of $machine", sub { !grep { _runs($_) } @all });
    return $self;
}

# A machine's database and its Patroni stand still: their pids, for kill CONT.
sub freeze {
    my ($self, $machine) = @_;
    my @all = map { ($_, _below($_)) } $self->{job}{"patroni $machine"}{pid}, $self->_postmaster($machine) // ();
    kill 'STOP', @all;
    return @all;
}

sub _runs {
    my ($pid) = @_;
    open my $fh, '<', "/proc/$pid/stat" or return 0;
    my $line = <$fh> // return 0;
    return $line !~ /\) [ZX] /;
}

sub _postmaster {
    my ($self, $machine) = @_;
    open my $fh, '<', "$self->{dir}/$machine/var/lib/postgresql/15/goconnect/postmaster.pid" or return undef;
    my $pid = 0 + (<$fh> // 0);
    return $pid && _runs($pid) ? $pid : undef;
}

# ------------------------------------------------------------------ the database

sub _ua { return Mojo::UserAgent->new(connect_timeout => 3, request_timeout => 5, insecure => 1) }

sub _etcd_well {
    my ($self, $machine) = @_;
    my $res = _ua()->get('http://' . $self->address($machine) . ':2379/health')->res;
    return ($res->code // 0) == 200 && $res->body =~ /"true"/;
}

# The members of the database cluster by name: { role, state, timeline, ... }
sub members {
    my ($self) = @_;
    for my $machine (qw(one two)) {
        my $res = _ua()->get('http://' . $self->address($machine) . ':8008/cluster')->res;
        next if ($res->code // 0) != 200;
        return { map { $_->{name} => $_ } @{ decode_json($res->body)->{members} } };
    }
    return {};
}

# The machine whose database writes.
sub primary {
    my ($self) = @_;
    for my $machine (qw(one two)) {
        my $res = _ua()->get('http://' . $self->address($machine) . ':8008/primary')->res;
        return $machine if ($res->code // 0) == 200;
    }
    return undef;
}

sub await_primary {
    my ($self, $machine) = @_;
    $self->_await("$machine to be the primary", sub { ($self->primary // '') eq $machine });
    return $self;
}

# Waits until commits are on both machines.
sub await_standby {
    my ($self) = @_;
    $self->_await('a synchronous standby', sub {
        my $member = $self->members;
        return grep { $_->{role} eq 'sync_standby' && $_->{state} =~ /^(?:running|streaming)$/ } values %$member;
    });
    return $self;
}

sub patronictl {
    my ($self, @command) = @_;
    my $primary = $self->primary // 'one';
    my @run = ('patronictl', '-c', "$self->{dir}/$primary/etc/patroni/config.yml", @command);
    my $said = `@{[ join ' ', map { quotemeta } @run ]} 2>&1`;
    croak "@run: $said" if $?;
    return $said;
}

# docs/cluster.md: the database, its functions, its role's password.
sub _database {
    my ($self) = @_;
    my $primary = $self->primary;
    my $at = "host=$self->{dir}/$primary/run/postgresql user=postgres";
    my @as = ("$ROOT/scripts/as", 'postgres', 'TERM', $ROOT);
    local @ENV{ grep { /^PG/ } keys %ENV };
    my @psql = (@as, 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d');
    _run(@psql, "$at dbname=postgres", '-c', 'CREATE DATABASE goconnect');
    _run(@as, "$ROOT/sql/migrate", "$at dbname=goconnect");
    _run(@psql, "$at dbname=goconnect", '-c', "ALTER ROLE goconnect PASSWORD '$self->{password}{GOCONNECT}'");
    return;
}

sub _run {
    my (@command) = @_;
    my $out = `@{[ join ' ', map { quotemeta } @command ]} 2>&1`;
    croak "@command: $out" if $?;
    return $out;
}

# As GoConnect::Cluster's: what the primary says, as the superuser.
sub sql {
    my ($self, $database, $sql) = @_;
    my $primary;
    $self->_await('a primary', sub { $primary = $self->primary });
    local @ENV{ grep { /^PG/ } keys %ENV };
    local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
    my $out = _run("$ROOT/scripts/as", 'postgres', 'TERM', $ROOT, 'psql', '-X', '-A', '-t', '-q', '-v',
        'ON_ERROR_STOP=1', '-d', "host=$self->{dir}/$primary/run/postgresql user=postgres dbname=$database",
        '-c', $sql);
    chomp $out;
    return $out;
}

# ----------------------------------------------------------------------- clients

# Clients speak plain http: this takes their TLS off their hands.
sub _tunnel {
    my ($self) = @_;
    $self->{port} = GoConnect::Server::free_port();
    my $lb = $self->address('three');
    $self->_put("$self->{dir}/tunnel.cfg", <<~CFG, 'root', 0644);
        global
            maxconn 2000
        defaults
            mode tcp
            timeout connect 10s
            timeout client 300s
            timeout server 300s
        listen tunnel
            bind 127.0.0.1:$self->{port}
            server lb $lb:443 ssl verify required ca-file $self->{dir}/tls.crt verifyhost localhost alpn http/1.1
        CFG
    $self->_spawn('tunnel', "$self->{dir}/tunnel.log", 'setpriv', '--pdeathsig', 'TERM', '--',
        'haproxy', '-f', "$self->{dir}/tunnel.cfg");
    return;
}

# Where the nodes see the clients come from.
sub client_address { return $_[0]->address('one') =~ s/\d+$/1/r }

# The whole cluster as its clients see it: a GoConnect::Server without processes
# of its own, behind the load balancer.
sub client {
    my ($self) = @_;
    return bless { address => '127.0.0.1', port => $self->{port}, pg => $self, database => 'goconnect',
        stopped => 1, owner => $$ }, 'GoConnect::Server';
}

sub ready {
    my ($self) = @_;
    return (_ua()->get("http://127.0.0.1:$self->{port}/readyz")->res->code // 0) == 200;
}

# What a node itself says to /readyz.
sub node_ready {
    my ($self, $machine) = @_;
    return (_ua()->get('http://' . $self->address($machine) . ':8080/readyz')->res->code // 0) == 200;
}

# Pulls the cable of a machine ('down'), or puts it back ('up').
sub cable {
    my ($self, $machine, $state) = @_;
    $self->{host}{$machine}->cable($self->{lab}, $state);
    return $self;
}

# A command to the load balancer.
sub balancer {
    my ($self, $command) = @_;
    my $socket = IO::Socket::UNIX->new(Peer => "$self->{dir}/three/run/haproxy/admin.sock")
        or croak "admin.sock: $!";
    print $socket "$command\n";
    return do { local $/; scalar <$socket> } // '';
}

# -------------------------------------------------------------------------- end

sub await { my ($self, @what) = @_; return $self->_await(@what) }

sub _await {
    my ($self, $what, $check) = @_;
    my $end = time + $WAIT;
    while (time < $end) {
        return 1 if $check->();
        for my $name (keys %{ $self->{job} }) {
            croak "$name ended:\n" . $self->tail($name)
                if waitpid($self->{job}{$name}{pid}, WNOHANG) != 0;
        }
        sleep 0.05;
    }
    croak "waited in vain for $what\n" . join '', map { "--- $_\n" . $self->tail($_) } sort keys %{ $self->{job} };
}

sub tail {
    my ($self, $name) = @_;
    my ($kind, $machine) = split ' ', $name;
    my @file = ($self->{job}{$name}{log}, $kind eq 'nginx' ? "$self->{dir}/$machine/var/log/goconnect/error.log" : ());
    my @line;
    for my $file (@file) {
        open my $fh, '<', $file or next;
        push @line, <$fh>;
    }
    splice @line, 0, -25 if @line > 25;
    return join '', @line;
}

# Lines of the nodes' logs that call for somebody, but for what is expected.
sub complaints {
    my ($self, @allowed) = @_;
    my @bad;
    for my $machine (qw(one two)) {
        open my $fh, '<', "$self->{dir}/$machine/var/log/goconnect/error.log" or next;
        while (my $line = <$fh>) {
            next if $line !~ /\[(?:alert|emerg|crit|error|warn)\]/ || grep { $line =~ $_ } @allowed;
            push @bad, "$machine: $line";
        }
    }
    return @bad;
}

sub stop {
    my ($self) = @_;
    return if $self->{over}++;
    for my $name ('haproxy three', 'tunnel', 'nginx one', 'nginx two', 'patroni one', 'patroni two') {
        $self->_end($name) if $self->{job}{$name};
    }
    for my $machine (qw(one two)) {
        my $pid = $self->_postmaster($machine) or next;
        kill 'QUIT', $pid;
        sleep 0.05 while _runs($pid);
    }
    $self->_end($_) for sort keys %{ $self->{job} };
    $self->{lab}->destroy;
    if ($ENV{GOCONNECT_KEEP}) {
        print STDERR "# kept: $self->{dir}\n";
    } else {
        system 'rm', '-rf', $self->{dir};
    }
    return;
}

END {
    local ($?, $!, $@);
    $_->stop for grep { defined && $_->{owner} == $$ } @started;
}

1;
