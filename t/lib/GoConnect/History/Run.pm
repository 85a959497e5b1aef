package GoConnect::History::Run;

# Writers and subscribers, each a process, at the nodes of a server; and the
# history that they leave, checked.
#
#   my $run = GoConnect::History::Run->start(nodes => [$a, $b], seed => 7,
#       writers => 4, subscribers => 4, each => 2500);
#   $run->faults(sub { my ($n) = @_; ... break something ... });
#   my $result = $run->finish;      # GoConnect::History::check's
#
# With slices => N the writers do their work in as many pieces, and are never
# more than two ahead of the faults: so these meet work on any machine.

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use GoConnect::History;
use GoConnect::History::Subscriber;
use GoConnect::History::Writer;
use IO::Select;
use Mojo::JSON qw(decode_json encode_json);
use POSIX ();
use Time::HiRes qw(time);

our $STUCK = 120;    # seconds without any progress

# nodes are GoConnect::Servers of one database and one ring of keys.
sub start {
    my ($class, %opt) = @_;
    my $self = bless { writers => 4, subscribers => 4, each => 100, seed => 1, %opt,
        dir => tempdir('gchist-XXXXXX', DIR => '/tmp', CLEANUP => 0), owner => $$,
        pid => {}, count => { a => 0, n => 0, d => 0 } }, $class;
    $self->{at} = [ map { { address => $_->{address}, port => $_->{port} } } @{ $opt{nodes} } ];
    pipe my $hear, my $tell or croak "pipe: $!";
    @$self{qw(hear tell)} = ($hear, $tell);
    $self->_community;
    $self->_start_subscriber($_) for 1 .. $self->{subscribers};
    $self->in_step({ map { $_ => 0 } $self->_letters });
    $self->_start_writer($_) for 1 .. $self->{writers};
    return $self;
}

# A tenant with two networks; each writer has a device, and a peer in both.
sub _community {
    my ($self) = @_;
    my $s = $self->{nodes}[0];
    my $owner = $self->{owner_user} = $s->register('owner');
    my @as = (token => $owner->{token});
    my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Soak', visibility => 'public',
        access => 'open' }, @as);
    $self->{tenant} = $tenant->{id};
    $self->{networks} = [ map { $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
        { name => $_, visibility => 'public', join_policy => 'open' }, @as)->{id} } qw(one two) ];
    for my $name ((map { "w$_" } 1 .. $self->{writers}), (map { "s$_" } 1 .. $self->{subscribers})) {
        my $user = $s->register("soak-$name");
        $s->must([ 200, 201 ], POST => "/v1/tenants/$tenant->{id}/join", {}, token => $user->{token});
        $s->must([ 200, 201 ], POST => "/v1/networks/$_/join", {}, token => $user->{token})
            for @{ $self->{networks} };
        my $device = $s->device($user);
        my %peer = map { $_ => $s->must(201, POST => "/v1/networks/$_/peers",
            { public_key => GoConnect::Server::wg_key(), name => $name }, token => $device->{token})->{id} }
            @{ $self->{networks} };
        $self->{who}{$name} = { user => $user, device => $device, peers => \%peer };
    }
    for my $topic ("tenant:$self->{tenant}", map { "network:$_" } @{ $self->{networks} }) {
        $self->{begin}{$topic} = 0 + $s->sql("SELECT seq FROM goconnect.topics WHERE id = '$topic'");
    }
    return;
}

sub _fork {
    my ($self, $name, $run) = @_;
    open my $log, '>', "$self->{dir}/$name" or croak "$name: $!";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        close $self->{hear};
        local $SIG{TERM} = sub { close $log; POSIX::_exit(1) };
        my $fine = eval { $run->($log); 1 };
        print {$log} encode_json({ e => 'died', why => "$@" }), "\n" if !$fine;
        close $log;
        POSIX::_exit($fine ? 0 : 1);
    }
    $self->{pid}{$pid} = $name;
    return;
}

# Half of them are devices, which follow the netmaps too.
sub _start_subscriber {
    my ($self, $n) = @_;
    my $who = $self->{who}{"s$n"};
    my $device = $n % 2 == 0;
    pipe my $told, my $say or croak "pipe: $!";
    my @topic = ($device ? () : "tenant:$self->{tenant}", map { "network:$_" } @{ $self->{networks} });
    $self->_fork("s$n", sub {
        my ($log) = @_;
        close $say;
        GoConnect::History::Subscriber->run(name => "s$n", nodes => $self->{at}, log => $log,
            tell => $self->{tell}, told => $told, letter => chr(64 + $n), seed => $self->{seed} * 100 + 50 + $n,
            token => $who->{ $device ? 'device' : 'user' }{token}, device => $device,
            topics => { map { $_ => $device ? undef : $self->{begin}{$_} } @topic });
    });
    close $told;
    push @{ $self->{say} }, $say;
    return;
}

sub _start_writer {
    my ($self, $n) = @_;
    my $who = $self->{who}{"w$n"};
    pipe my $told, my $say or croak "pipe: $!";
    push @{ $self->{go} }, $say;
    syswrite $say, '..';
    my $slices = $self->{slices} // 1;
    $self->_fork("w$n", sub {
        my ($log) = @_;
        close $_ for @{ $self->{go} };
        GoConnect::History::Writer->run(name => "w$n", nodes => $self->{at}, log => $log,
            tell => $self->{tell}, seed => $self->{seed} * 100 + $n, count => $self->{each},
            told => $told, slice => POSIX::ceil($self->{each} / $slices),
            token => $who->{user}{token}, tenant => $self->{tenant}, networks => $self->{networks},
            peers => $who->{peers});
    });
    return;
}

# ------------------------------------------------------------------ progress

# Hears what the clients tell; false when nobody said anything for that long.
sub _hear {
    my ($self, $seconds) = @_;
    return 0 if !IO::Select->new($self->{hear})->can_read($seconds);
    sysread $self->{hear}, my $text, 4096 or croak 'the clients are gone';
    $self->{count}{$_}++ for split //, $text;
    return 1;
}

sub _await {
    my ($self, $check, $what) = @_;
    my $end = time + $STUCK;
    while (!$check->()) {
        if ($self->_hear(1)) {
            $end = time + $STUCK;
        }
        $self->_nobody_died;
        croak "waited in vain for $what" if time > $end;
    }
    return 1;
}

sub _nobody_died {
    my ($self) = @_;
    for my $pid (keys %{ $self->{pid} }) {
        next if waitpid($pid, POSIX::WNOHANG()) != $pid;
        my $name = delete $self->{pid}{$pid};
        croak "$name died: " . (($self->_log($name)->[-1] // {})->{why} // $?) if $?;
    }
    return;
}

sub done { my ($self) = @_; return $self->{count}{a} + $self->{count}{n} }
sub total { my ($self) = @_; return $self->{writers} * $self->{each} }

# Waits until so many ops have ended; false when all have.
sub reached {
    my ($self, $n) = @_;
    $n = $self->total if $n > $self->total;
    $self->_await(sub { $self->done >= $n }, "$n ops");
    return $self->done < $self->total;
}

# How often each subscriber was in step, by its letter; and a wait until each has
# been so again.
sub steps {
    my ($self) = @_;
    1 while $self->_hear(0);
    return { map { $_ => $self->{count}{$_} // 0 } $self->_letters };
}

sub _letters { return map { chr(64 + $_) } 1 .. $_[0]{subscribers} }

sub in_step {
    my ($self, $before) = @_;
    $self->_await(sub { !grep { ($self->{count}{$_} // 0) <= $before->{$_} } keys %$before },
        'subscribers to be in step');
    return;
}

# Calls a function for each slice but the last, in the midst of it.
sub faults {
    my ($self, $fault) = @_;
    my $size = $self->total / $self->{slices};
    for my $n (1 .. $self->{slices} - 1) {
        $self->reached(int(($n - 0.5) * $size));
        $fault->($n);
        syswrite $_, '.' for @{ $self->{go} };
    }
    return;
}

# Pids of the clients whose connections can be cut, by signal USR1.
sub clients {
    my ($self) = @_;
    return sort { $a <=> $b } keys %{ $self->{pid} };
}

# --------------------------------------------------------------------- the end

sub _log {
    my ($self, $name) = @_;
    open my $fh, '<', "$self->{dir}/$name" or croak "$name: $!";
    return [ map { decode_json($_) } <$fh> ];
}

# Takes the events of all topics out of the database but the last ones.
sub prune {
    my ($self, $s, $keep) = @_;
    $s->sql(<<~SQL);
        CREATE TABLE IF NOT EXISTS public.pruned (topic text, seq bigint, kind text, payload json);
        WITH gone AS (
            DELETE FROM goconnect.events e USING goconnect.topics t
             WHERE t.id = e.topic AND e.seq <= t.seq - $keep RETURNING e.topic, e.seq, e.kind, e.payload
        ) INSERT INTO public.pruned SELECT * FROM gone;
        SQL
    $self->{pruned} = 1;
    return;
}

# What the database has at last; server: the one to ask.
sub _truth {
    my ($self, $s) = @_;
    my %truth;
    my $all = '(SELECT topic, seq, kind, payload FROM goconnect.events'
        . ($self->{pruned} ? ' UNION ALL SELECT topic, seq, kind, payload FROM public.pruned' : '') . ')';
    for my $topic (sort keys %{ $self->{begin} }) {
        $truth{$topic} = {};
        my $rows = $s->sql(<<~SQL);
            SELECT seq, CASE kind WHEN 'chat_message' THEN payload ->> 'content'
                        WHEN 'netmap_delta' THEN (SELECT string_agg(p ->> 'name', ' ')
                            FROM jsonb_array_elements(payload::jsonb -> 'upsert') p)
                        ELSE kind END
              FROM $all e WHERE topic = '$topic' AND seq > $self->{begin}{$topic} ORDER BY seq
            SQL
        /^(\d+)\|(.*)$/ and $truth{$topic}{$1} = $2 for split /\n/, $rows;
    }
    my %map;
    for my $network (@{ $self->{networks} }) {
        my %peer = map { split /\|/ } split /\n/,
            $s->sql("SELECT id, name FROM goconnect.peers WHERE network_id = '$network'");
        $map{"network:$network"} = { peers => \%peer,
            version => $s->sql("SELECT netmap_version FROM goconnect.networks WHERE id = '$network'") };
    }
    return (\%truth, \%map);
}

# Waits for all writers, tells the subscribers where to end, and checks it all.
sub finish {
    my ($self, $server) = @_;
    $server //= $self->{nodes}[0];
    1 while $self->reached($self->total);
    my ($truth, $maps) = $self->_truth($server);
    my %end;
    for my $topic (keys %$truth) {
        ($end{$topic}) = sort { $b <=> $a } keys %{ $truth->{$topic} }, $self->{begin}{$topic};
        $end{$topic} += 0;
    }
    for my $say (@{ $self->{say} }) {
        local $SIG{PIPE} = 'IGNORE';
        syswrite $say, encode_json(\%end) . "\n";
    }
    my $late = !eval { $self->_await(sub { $self->{count}{d} >= $self->{subscribers} },
        'subscribers to come to the end') };
    my $why = $@;
    $self->{over} = !$late;    # they end by themselves
    $self->_end;
    my %observers = map { $_ => $self->_log($_) } map { "s$_" } 1 .. $self->{subscribers};
    my $result = GoConnect::History::check(ops => [ map { @{ $self->_log("w$_") } } 1 .. $self->{writers} ],
        truth => $truth, maps => $maps, observers => \%observers);
    push @{ $result->{violations} }, "late: $why" if $late;
    push @{ $result->{violations} }, map { "refused: $_->{key}: @{ $_->{codes} }" }
        grep { $_->{refused} } map { @{ $self->_log("w$_") } } 1 .. $self->{writers};
    return $result;
}

# What came of it, in lines for a person.
sub tell {
    my ($self, $result) = @_;
    my $f = $result->{figures};
    my @line = sprintf '%d ops (%d acknowledged, %d unknown, %d failed; %d were tried again), %d events seen in '
        . '%d connections, %d resyncs, %d seen twice (%.2f %%)', map({ $_ // 0 } @$f{qw(ops ok unknown failed
        retried events connections resyncs duplicates)}), 100 * $f->{duplicate_share};
    for my $what ([ catch_up => 'from connecting to being in step' ],
        [ outage => 'from the loss to being in step' ], [ lag => 'from acknowledged to seen' ]) {
        my $v = $f->{ $what->[0] };
        push @line, sprintf '%s: %d, p50 %.3f s, p99 %.3f s, at most %.3f s', $what->[1], $v->{n},
            map { $_ // 0 } @$v{qw(p50 p99 max)};
    }
    return join "\n", @line;
}

sub _end {
    my ($self) = @_;
    for my $pid (keys %{ $self->{pid} }) {
        kill 'CONT', $pid;
        kill 'TERM', $pid if !$self->{over};
        waitpid $pid, 0;
    }
    $self->{pid} = {};
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$;
    local ($?, $!, $@);
    $self->_end;
    if ($ENV{GOCONNECT_KEEP}) {
        print STDERR "# kept: $self->{dir}\n";
    } else {
        system 'rm', '-rf', $self->{dir};
    }
    return;
}

1;
