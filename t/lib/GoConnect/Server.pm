package GoConnect::Server;

# A private GoConnect server for a test: Debian's nginx with our module, on a
# free loopback port or at a lab's address, on a database of its own.
#
#   my $s = GoConnect::Server->start(workers => 2);
#   my $u = $s->register('ada');
#   my ($status, $json, $tx) = $s->api(GET => '/v1/auth/me', undef,
#                                      token => $u->{token});
#   my $ws = $s->ws(token => $u->{token});
#   is $ws->expect('hello')->{data}{user}{username}, 'ada';
#   $s->stop;
#
# stop() is itself a test: no [alert], [emerg], [crit], [error] or [warn] in
# the log (allow => qr/.../ for what a test provokes), no sanitizer report, no
# worker died unasked, file descriptors and database connections are back.

use strict;
use warnings;
use Carp qw(croak);
use Fcntl qw(SEEK_SET);
use File::Temp qw(tempdir);
use GoConnect::Cluster;
use GoConnect::Contract;
use GoConnect::Coverage;
use GoConnect::WS;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use POSIX qw(:sys_wait_h);
use Test::More ();
use Time::HiRes qw(sleep time);

our $ROOT  = $GoConnect::Cluster::ROOT;
our $BUILD = $GoConnect::Cluster::BUILD;
# /metrics, for tests at addresses that the shipped configuration does not let
# see it.
my $COUNTERS = 'location = /counters { rewrite ^ /metrics break; goconnect_api; }';

our $SAN   = $BUILD =~ m{/san$};
our $VALGRIND = $ENV{GOCONNECT_VALGRIND};
my $SLOW = $SAN || $VALGRIND || $ENV{GOCONNECT_IN_VM};

my %alive;

# Options, all with a default:
#   workers => 1
#   cluster => 'shared' (default), 'own' (may be stopped and restarted) or a
#              GoConnect::Cluster; fsync => 1 for an own one
#   database => NAME        an existing database instead of a fresh one
#   pool => 'read=2 depth=8 write=2 bulk=1'
#   cache => 'zone=4m' or 'off'
#   connections => N        of a worker, more than conf/dev.conf has
#   address => '198.18.0.1'  listen there (see GoConnect::Lab's enter)
#   listen => "listen ...;" further lines; port => N
#   public_url => URL
#   http => "..."           further directives of the http block
#   server => "..."         further directives of the server block
#   keys => "..."           contents of the keys file
#   allow => qr/.../        log lines that the test provokes
#   wait => 0               do not wait until /readyz says 200
sub start {
    my ($class, %opt) = @_;
    my $self = bless {
        workers => 1, pool => 'read=2 depth=8 write=2 bulk=1', wait => 1,
        cache => $ENV{GOCONNECT_CACHE} // 'zone=4m',
        address => '127.0.0.1', http => '', server => '', listen => '',
        %opt, owner => $$, pids => {}, allow_lines => [ $opt{allow} // (), $VALGRIND ? qr{setrlimit\(RLIMIT_NOFILE|no answer in time while connecting} : () ],
    }, $class;

    my $kind = $opt{cluster} // 'shared';
    $self->{pg} = ref $kind       ? $kind
                : $kind eq 'own'  ? GoConnect::Cluster->start(fsync => $opt{fsync})
                :                   GoConnect::Cluster->shared;
    $self->{own_cluster} = $kind eq 'own';
    $self->{own_database} = !defined $opt{database};
    $self->{database} = $opt{database} // $self->{pg}->create_database;

    my $dir = $self->{dir} = tempdir('gcs-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    chmod 0755, $dir;
    mkdir "$dir/tmp";
    my $keys = $opt{keys} // make_keys();
    $self->write_file('keys', $keys, 0600);

    $alive{ 0 + $self } = 1;
    for my $try (1 .. 5) {
        $self->{port} = $opt{port} // free_port();
        $self->write_config;
        last if $self->_launch;
        my $log = $self->log;
        croak "nginx did not start:\n$log" if $log !~ /Address already in use/ || $opt{port};
        truncate "$dir/error.log", 0;
    }
    $self->wait_ready if $self->{wait};
    $self->remember;
    return $self;
}

sub make_keys {
    my $keys = '';
    open my $random, '<:raw', '/dev/urandom' or croak $!;
    for my $purpose (qw(jwt invite seal audit relay)) {
        read $random, my $key, 32;
        $keys .= "$purpose test1 " . Mojo::Util::b64_encode($key, '') . "\n";
    }
    return $keys;
}

# A port that was free a moment ago.
sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or croak "no free port: $!";
    return $socket->sockport;
}

sub write_file {
    my ($self, $name, $text, $mode) = @_;
    open my $fh, '>', "$self->{dir}/$name" or croak "$name: $!";
    chmod $mode, $fh if $mode;
    print $fh $text;
    close $fh or croak $!;
    return;
}

# Writes nginx.conf from conf/dev.conf, the file that `make run` uses.
sub write_config {
    my ($self, %change) = @_;
    $self->{$_} = $change{$_} for keys %change;
    open my $fh, '<', "$ROOT/conf/dev.conf" or croak "conf/dev.conf: $!";
    my $conf = do { local $/; <$fh> };
    my %word = (
        ROOT => $ROOT, BUILD => $BUILD, RUN => $self->{dir},
        USER => worker_user(),
        WORKERS => $self->{workers}, POOL => $self->{pool}, CACHE => $self->{cache},
        DATABASE => $self->conninfo,
        URL => $self->{public_url} // $self->url,
        LISTEN => "listen $self->{address}:$self->{port}; $self->{listen}",
        HTTP => $self->{http}, SERVER => "$self->{server}\n$COUNTERS",
    );
    $conf =~ s/(worker_connections|worker_rlimit_nofile) \d+/$1 $self->{connections}/g
        if $self->{connections};
    $conf =~ s/\@([A-Z]+)\@/$word{$1} \/\/ croak "no value for \@$1\@"/ge;
    $self->write_file('nginx.conf', $conf);
    return $self;
}

# Workers run as www-data, as on a real server; as root only where www-data
# cannot reach the tree (a clone below /root).
sub worker_user {
    return '' if $> != 0;
    my $path = '';
    for my $part (split m{/}, $ROOT) {
        $path .= "$part/";
        return 'user root;' if !((stat $path)[2] & 01);
    }
    return 'user www-data;';
}

sub url { "http://$_[0]{address}:$_[0]{port}" }
sub dir { $_[0]{dir} }
sub pg { $_[0]{pg} }
sub database { $_[0]{database} }
sub master { $_[0]{master} }
sub conninfo {
    my ($self, $user) = @_;
    return $self->{pg}->conninfo($self->{database}, $user // 'goconnect');
}

sub sql { $_[0]{pg}->sql($_[0]{database}, $_[1]) }

# ---------------------------------------------------------------- processes

sub _command {
    my ($self, @more) = @_;
    my @command = ('setpriv', '--pdeathsig', 'TERM', '--');
    push @command, qw(valgrind -q --vgdb=no --trace-children=yes --num-callers=20),
        "--log-file=$self->{dir}/san.%p"
        if $VALGRIND;
    return (@command, '/usr/sbin/nginx', '-e', "$self->{dir}/error.log", '-p',
        "$self->{dir}/", '-c', "$self->{dir}/nginx.conf", @more);
}

sub _environment {
    my ($self) = @_;
    return if !$SAN;
    $ENV{LD_PRELOAD} = sanitizer_preload();
    $ENV{ASAN_OPTIONS} = "detect_leaks=0:abort_on_error=0:log_path=$self->{dir}/san";
    $ENV{UBSAN_OPTIONS} = "print_stacktrace=1:log_path=$self->{dir}/san";
    return;
}

# What must be preloaded so that a sanitized module runs in the stock nginx.
sub sanitizer_preload {
    my @lib = map { my $path = `gcc -print-file-name=$_`; chomp $path; $path }
        qw(libasan.so libubsan.so);
    my $keep = "$BUILD/nodlclose.so";
    if (!-e $keep) {
        system('gcc', '-shared', '-fPIC', '-o', "$keep.$$", "$ROOT/t/lib/san/nodlclose.c") == 0
            or croak 'nodlclose.so cannot be built';
        rename "$keep.$$", $keep;
    }
    return join ' ', @lib, $keep;
}

sub _launch {
    my ($self) = @_;
    my $dir = $self->{dir};
    unlink "$dir/nginx.pid";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/stderr.log";
        open STDERR, '>&', \*STDOUT;
        POSIX::setsid();
        $self->_environment;
        exec $self->_command or POSIX::_exit(127);
    }
    $self->{master} = $pid;
    my $end = time + ($SLOW ? 60 : 20);
    while (time < $end) {
        return 1 if -s "$dir/nginx.pid" && keys %{ $self->worker_pids } >= $self->{workers};
        if (waitpid($pid, WNOHANG) == $pid) {
            delete $self->{master};
            return 0;
        }
        sleep 0.005;
    }
    croak 'nginx did not start in time';
}

# nginx -t on this server's configuration: (exit status, what it said).
sub config_test {
    my ($self) = @_;
    my $said = '';
    my $pid = open(my $fh, '-|') // croak "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        $self->_environment;
        my @command = $self->_command('-t', '-q');
        $_ eq "$self->{dir}/error.log" and $_ = 'stderr' for @command;
        exec @command or POSIX::_exit(127);
    }
    $said = do { local $/; <$fh> } // '';
    close $fh;
    return ($? >> 8, $said);
}

# Pids of the master's worker processes, as { pid => 1 }.
sub worker_pids {
    my ($self) = @_;
    my $master = $self->{master} or return {};
    open my $fh, '<', "/proc/$master/task/$master/children" or return {};
    my %pid;
    for my $pid (split ' ', scalar(<$fh>) // '') {
        open my $cmd, '<', "/proc/$pid/cmdline" or next;
        my $line = <$cmd> // '';
        $pid{$pid} = 1 if $line =~ /nginx: worker process/ && $line !~ /shutting down/
            || $VALGRIND;    # which hides the title
    }
    return \%pid;
}

# How many processes the master has: workers, and those that shut down.
sub _children {
    my ($self) = @_;
    my $master = $self->{master} or return 0;
    open my $fh, '<', "/proc/$master/task/$master/children" or return 0;
    return scalar(my @pid = split ' ', scalar(<$fh>) // '');
}

# Waits until the server answers /readyz with 200 (seconds, default 20).
sub wait_ready {
    my ($self, $seconds) = @_;
    my $end = time + ($seconds // ($SLOW ? 60 : 20));
    my $answer = 'no answer';
    while (time < $end) {
        my $tx = $self->_new_ua->get($self->url . '/readyz');
        return $self if ($tx->res->code // 0) == 200;
        $answer = join ' ', $tx->res->code // (), $tx->res->body || ($tx->error // {})->{message} // ();
        sleep 0.02;
    }
    croak "the server is not ready: $answer\n" . $self->log_tail;
}

# Waits until every worker has all of its database connections: ready() asks one.
sub wait_pool {
    my ($self) = @_;
    $self->wait_ready;
    return $self->_await('the connections of all workers', sub {
        my $text = $self->_new_ua->get($self->url . '/counters')->res->body;
        my %up = $text =~ /^goconnect_database_connections\{(\S+)\} (\d+)$/mg;
        my %wanted = $text =~ /^goconnect_database_connections_max\{(\S+)\} (\d+)$/mg;
        return %wanted && !grep { ($up{$_} // 0) < $wanted{$_} } keys %wanted;
    });
}

sub _signal {
    my ($self, $signal, $pid) = @_;
    kill $signal, $pid or croak "kill $signal $pid: $!";
    return;
}

# Kills one worker (any, KILL, unless said) and waits for the new one.
sub kill_worker {
    my ($self, $signal, $victim) = @_;
    ($victim) = sort keys %{ $self->worker_pids } if !$victim;
    $self->_signal($signal // 'KILL', $victim);
    $self->_await('a new worker', sub {
        my $now = $self->worker_pids;
        return !$now->{$victim} && keys %$now >= $self->{workers};
    });
    # the master says, too, whether it died with the cache's lock in its hands
    $self->allow(qr/\[alert\].*(?:worker process $victim exited|was locked by $victim)/);
    $self->remember;
    return $victim;
}

# kill -9 of the master and all workers, as a crash of the machine's nginx.
sub kill_all {
    my ($self) = @_;
    my @worker = keys %{ $self->worker_pids };
    my $master = delete $self->{master};
    kill 'STOP', $master;
    kill 'KILL', $master, @worker;
    waitpid $master, 0;
    $self->_await('the workers to be gone', sub { !grep { kill 0, $_ } @worker });
    return $self;
}

# Starts nginx again after kill_all or halt, on the same port and database.
sub restart {
    my ($self) = @_;
    $self->halt if $self->{master};
    $self->_launch or croak "nginx did not start:\n" . $self->log_tail;
    $self->wait_ready if $self->{wait};
    $self->remember;
    return $self;
}

# Stops nginx (QUIT: gracefully; TERM) without the checks of stop().
sub halt {
    my ($self, $signal) = @_;
    my $master = delete $self->{master} or return $self;
    kill $signal // 'QUIT', $master;
    my $end = time + 15;
    while (time < $end) {
        return $self if waitpid($master, WNOHANG) != 0;
        sleep 0.005;
    }
    kill 'KILL', $master;
    waitpid $master, 0;
    $self->{halt_failed} = 1;
    return $self;
}

# Reloads the configuration and waits for the new workers.
sub reload {
    my ($self) = @_;
    my $before = $self->worker_pids;
    $self->_signal('HUP', $self->{master});
    $self->_await('new workers', sub {
        my $now = $self->worker_pids;
        return keys %$now >= $self->{workers} && !grep { $before->{$_} } keys %$now;
    });
    $self->wait_ready if $self->{wait};
    $self->remember;
    return $self;
}

# The database. Only a server with cluster => 'own' may do this: the shared
# one serves other tests too.
sub stop_database {
    my ($self, $mode) = @_;
    croak "start this server with cluster => 'own'" if !$self->{own_cluster};
    $self->{pg}->down($mode // 'immediate');
    $self->allow(qr/\[(?:warn|error)\].*goconnect: .*(?:database|LISTEN|listening)/);
    return $self;
}

sub start_database { $_[0]{pg}->up; return $_[0] }

sub restart_database {
    my ($self, $mode) = @_;
    $self->stop_database($mode);
    $self->start_database;
    return $self;
}

sub _await {
    my ($self, $what, $check, $seconds) = @_;
    my $end = time + ($seconds // 15);
    while (time < $end) {
        return 1 if $check->();
        sleep 0.005;
    }
    croak "waited in vain for $what\n" . $self->log_tail;
}

# ------------------------------------------------------------------ requests

sub _new_ua {
    my ($self) = @_;
    return Mojo::UserAgent->new(
        connect_timeout => 10, request_timeout => 30, inactivity_timeout => 30,
        max_redirects => 0);
}

sub ua { $_[0]{ua} //= $_[0]->_new_ua }

# One request: ($status, $json or undef, $transaction). A hash or array as the
# body is sent as JSON, a plain string as it is. An answer that is not as
# openapi.yaml says fails the test. Options: token, headers, ua, quiet => 1 (the
# answer may be anything, even a provoked 500).
sub api {
    my ($self, $method, $path, $body, %opt) = @_;
    my %header = %{ $opt{headers} // {} };
    $header{Authorization} //= "Bearer $opt{token}" if defined $opt{token};
    my @content;
    if (ref $body) {
        $header{'Content-Type'} //= 'application/json';
        @content = (encode_json($body));
    } elsif (defined $body) {
        $header{'Content-Type'} //= 'application/json';
        @content = ($body);
    }
    my $ua = $opt{ua} // $self->ua;
    my $tx = $ua->start($ua->build_tx($method => $self->url . $path, \%header, @content));
    my $type = $tx->res->headers->content_type // '';
    my $json = $type =~ /json/ ? eval { decode_json($tx->res->body) } : undef;
    my $status = $tx->res->code // 0;
    if ($opt{quiet}) {
        $self->{provoked}{500} = 1 if $status == 500;
    } elsif ($status) {
        _keeps_contract($method, $path, $status, $json, $tx);
    }
    return ($status, $json, $tx);
}

sub _keeps_contract {
    my ($method, $path, $status, $json, $tx) = @_;
    my @wrong = GoConnect::Contract::check_request($method, $path, $status, $json, $tx) or return;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    Test::More::fail("$method $path $status keeps the contract: $_") for @wrong;
    Test::More::diag($tx->res->body);
    return;
}

# api() that must give one of the expected statuses, else it dies with what the
# server said; returns the JSON.
sub must {
    my ($self, $expected, @request) = @_;
    my ($status, $json, $tx) = $self->api(@request);
    return $json if grep { $_ == $status } ref $expected ? @$expected : $expected;
    croak "$request[0] $request[1]: $status instead of "
        . (ref $expected ? "@$expected" : $expected) . ': ' . ($tx->res->body || '(no body)');
}

our $PASSWORD = 'correct horse battery';

# Makes a user: { token, refresh, user, id, name, password, session_id }.
sub register {
    my ($self, $name, $password) = @_;
    $password //= $PASSWORD;
    my $json = $self->must(201, POST => '/v1/auth/register',
        { username => $name, password => $password });
    return _identity($json, $name, $password);
}

sub login {
    my ($self, $name, $password) = @_;
    $password //= $PASSWORD;
    my $json = $self->must(200, POST => '/v1/auth/login',
        { username => $name, password => $password });
    return _identity($json, $name, $password);
}

sub _identity {
    my ($json, $name, $password) = @_;
    return { token => $json->{access_token}, refresh => $json->{refresh_token},
        user => $json->{user}, id => $json->{user}{id}, session_id => $json->{session_id},
        name => $name, password => $password };
}

# A random WireGuard public key (any 32 bytes but zeros are one).
sub wg_key {
    open my $random, '<:raw', '/dev/urandom' or croak $!;
    read $random, my $key, 32;
    return Mojo::Util::b64_encode($key, '');
}

# A device of a user: { token, refresh, device, id, key }.
sub device {
    my ($self, $user, %field) = @_;
    my $body = { name => 'laptop', platform => 'linux', public_key => wg_key(), %field };
    my $json = $self->must(201, POST => '/v1/devices', $body, token => $user->{token});
    return { token => $json->{access_token}, refresh => $json->{refresh_token},
        device => $json->{device}, id => $json->{device}{id}, key => $body->{public_key} };
}

# A WebSocket (GoConnect::WS). token => ..., or ticket => ..., or query => '...'.
sub ws {
    my ($self, %opt) = @_;
    my $query = $opt{query}
        // (defined $opt{ticket} ? "ticket=$opt{ticket}"
        : defined $opt{token} ? "token=$opt{token}" : '');
    (my $url = $self->url) =~ s/^http/ws/;
    return GoConnect::WS->connect($self->_new_ua, "$url/v1/ws?$query", %opt);
}

# ----------------------------------------------------------------------- log

sub log {
    my ($self) = @_;
    my $text = '';
    for my $file ("$self->{dir}/error.log", "$self->{dir}/stderr.log") {
        open my $fh, '<', $file or next;
        local $/;
        $text .= <$fh> // '';
    }
    return $text;
}

sub log_tail {
    my ($self) = @_;
    my @line = grep { !/http request line|\[debug\]/ } split /\n/, $self->log;
    splice @line, 0, -30 if @line > 30;
    return join "\n", @line, '';
}

# Lets a provoked log line pass.
sub allow {
    my ($self, @pattern) = @_;
    push @{ $self->{allow_lines} }, @pattern;
    return $self;
}

# Log lines that should not be there.
sub bad_lines {
    my ($self) = @_;
    my @bad = grep { /\[(?:alert|emerg|crit|error|warn)\]|runtime error:|Sanitizer|glibc detected/ }
        split /\n/, $self->log;
    for my $pattern (@{ $self->{allow_lines} }) {
        @bad = grep { $_ !~ $pattern } @bad;
    }
    for my $file (glob "$self->{dir}/san.*") {
        open my $fh, '<', $file or next;
        push @bad, map { s/\n//r } grep { length } <$fh>;
    }
    return @bad;
}

# ----------------------------------------------------------------- resources

# Open file descriptors of all workers that are not database connections.
sub descriptors {
    my ($self) = @_;
    my $count = 0;
    for my $pid (keys %{ $self->worker_pids }) {
        my @fd = glob "/proc/$pid/fd/*";
        $count += @fd;
    }
    return $count - $self->connections;
}

# Database connections of the module's role to this server's database.
sub connections {
    my ($self) = @_;
    return $self->sql("SELECT count(*) FROM pg_stat_activity "
        . "WHERE datname = current_database() AND usename = 'goconnect'");
}

# Takes the present state as what stop() compares with.
sub remember {
    my ($self) = @_;
    $self->{pids} = $self->worker_pids;
    delete $self->{baseline};
    if ($self->{wait} && !$SAN && !$VALGRIND) {
        # while old workers are on their way out, their connections would count
        my $gone = time + 8;
        sleep 0.02 while time < $gone && $self->_children > keys %{ $self->worker_pids };
        delete $self->{ua};
        my ($last, $same) = (-1, 0);
        my $end = time + 2;
        while (time < $end && $same < 2) {
            my $now = eval { $self->descriptors } // last;
            $same = $now == $last ? $same + 1 : 0;
            $last = $now;
            sleep 0.01 if $same < 2;
        }
        $self->{baseline} = $last if $last >= 0;
    }
    return $self;
}

# Stops everything; each thing that is not as it should be fails the test.
sub stop {
    my ($self) = @_;
    return if $self->{stopped}++;
    my @wrong;
    delete $self->{ua};
    if ($self->{master}) {
        my $now = $self->worker_pids;
        my @gone = grep { !$now->{$_} } keys %{ $self->{pids} };
        push @wrong, "worker @gone is gone" if @gone;
        if (defined $self->{baseline} && $self->{pg}{pid} || $self->{pg}{foreign}) {
            my $base = $self->{baseline};
            my ($end, $count) = (time + 5, -1);
            while (defined $base && time < $end) {
                $count = eval { $self->descriptors } // last;
                last if $count <= $base;
                sleep 0.02;
            }
            push @wrong, "open files of the workers: $count, $base at start"
                if defined $base && $count > $base;
        }
        $self->halt;
        push @wrong, 'nginx had to be killed: it did not stop within 15 s'
            if $self->{halt_failed};
    }
    push @wrong, $self->bad_lines;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!@wrong, 'the server stops clean')
        or Test::More::diag(join "\n", @wrong > 40 ? (@wrong[0 .. 39], '...') : @wrong);
    $self->_clean;
    return !@wrong;
}

sub _clean {
    my ($self) = @_;
    delete $alive{ 0 + $self };
    $self->halt('TERM') if $self->{master};
    GoConnect::Coverage::note("$self->{dir}/access.log", %{ $self->{provoked} // {} });
    if ($ENV{GOCONNECT_KEEP}) {
        print STDERR "# kept: $self->{dir}\n";
    } else {
        system 'rm', '-rf', $self->{dir};
    }
    if ($self->{own_cluster}) {
        $self->{pg}->destroy;
    } elsif ($self->{own_database}) {
        eval { $self->{pg}->drop_database($self->{database}) };
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{stopped} || $self->{owner} != $$ || !$alive{ 0 + $self };
    local ($?, $!, $@);
    if ($self->{master}) {
        my @line = $self->bad_lines;
        print STDERR map { "# $_\n" } 'the server was not stopped by the test; its log:', @line
            if @line;
    }
    $self->_clean;
    return;
}

1;
