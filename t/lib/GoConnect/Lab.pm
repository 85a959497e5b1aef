package GoConnect::Lab;

# Hosts in network namespaces, for tests and for the demo (needs root).
#
#   my $lab = GoConnect::Lab->new;
#   $lab->enter;                        # this process moves "onto the internet"
#   my $a = $lab->host('a');            # 198.51.1.10/24, routed
#   my $b = $lab->host('b');            # 198.51.2.10/24
#   my $c = $lab->host('c', with => 'b')  # on the same LAN as b
#   my ($status, $output) = $a->run('ping', '-c1', $b->address);
#   my $pid = $a->start('goconnectd', ...);
#
# A host has a network, a mount and a process namespace of its own, a private
# /run and /var/lib (wireguard-go's sockets would meet otherwise) and a home.
# Nothing has a name in the system: when this process ends, even by SIGKILL,
# the kernel removes hosts, interfaces and processes. Labs do not meet.
#
# The middle, where a server runs, is 198.18.0.1. Only core modules are used
# here.

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our $SERVER = '198.18.0.1';

my %labs;

sub new {
    my ($class) = @_;
    croak 'network namespaces need root' if $> != 0;
    my $dir = tempdir('gcl-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    chmod 0755, $dir;
    my $self = bless { dir => $dir, owner => $$, host => {}, lan => {}, lans => 0 }, $class;
    $labs{ 0 + $self } = 1;
    $self->{middle} = GoConnect::Lab::Host->_new($self, 'middle');
    $self->{middle}->must(qw(ip link set lo up));
    $self->{middle}->must(qw(ip address add), "$SERVER/32", qw(dev lo));
    $self->{middle}->must('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward; '
        . 'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; '
        . 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad');
    return $self;
}

sub dir { $_[0]{dir} }
sub middle { $_[0]{middle} }
sub hosts { map { $_[0]{host}{$_} } sort keys %{ $_[0]{host} } }

# Path of the middle's network namespace.
sub netns { "/proc/$_[0]{middle}{pid}/ns/net" }

# Moves this process into the middle's network namespace: what it connects to
# and what it starts is there from now on.
sub enter {
    my ($self) = @_;
    open my $fh, '<', $self->netns or croak $!;
    setns($fh);
    return $self;
}

sub setns {
    my ($fh) = @_;
    my $number = { x86_64 => 308, aarch64 => 268 }->{ (POSIX::uname())[4] }
        // croak 'setns: unknown machine';
    syscall($number, fileno $fh, 0) == 0 or croak "setns: $!";
    return;
}

# A host on a LAN of its own, or with => NAME on that host's LAN.
sub host {
    my ($self, $name, %opt) = @_;
    croak "there is a host $name already" if $self->{host}{$name};
    my $middle = $self->{middle};
    my $lan;
    if (defined $opt{with}) {
        $lan = $self->{lan}{ $opt{with} } // croak "no host $opt{with}";
    } else {
        my $n = ++$self->{lans};
        $lan = { n => $n, bridge => "lan$n", hosts => 0 };
        $middle->must('sh', '-c', "ip link add lan$n type bridge forward_delay 0 && "
            . "ip address add 198.51.$n.1/24 dev lan$n && "
            . "ip address add 2001:db8:$n\::1/64 dev lan$n nodad && ip link set lan$n up");
    }
    $self->{lan}{$name} = $lan;
    my $host = GoConnect::Lab::Host->_new($self, $name);
    my $number = 9 + ++$lan->{hosts};
    my $port = "p$lan->{n}x$number";
    # From outside the process namespaces, where the host's pid is known.
    system('nsenter', '--net=' . $self->netns, 'ip', 'link', 'add', $port, 'type', 'veth',
        'peer', 'name', 'eth0', 'netns', $host->{pid}) == 0
        or croak "no link for host $name";
    $middle->must('ip', 'link', 'set', $port, 'master', $lan->{bridge}, 'up');
    $host->must('sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; '
        . 'ip link set lo up');
    $host->_settle($lan->{n}, $number);
    $host->{port} = $port;
    return $self->{host}{$name} = $host;
}

# Carries a host to where another one is: the cable goes into that LAN, and
# with it come an address of there and its router.
sub move {
    my ($self, $name, $with) = @_;
    my $host = $self->{host}{$name} // croak "no host $name";
    my $lan = $self->{lan}{$with} // croak "no host $with";
    $host->must('ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global');
    $self->{middle}->must('ip', 'link', 'set', $host->{port}, 'master', $lan->{bridge});
    $self->{lan}{$name} = $lan;
    return $host->_settle($lan->{n}, 9 + ++$lan->{hosts});
}

# Ends a lab. Called at the end of the process too.
sub destroy {
    my ($self) = @_;
    return if !delete $labs{ 0 + $self } || $self->{owner} != $$;
    $_->_end for $self->hosts, $self->{middle};
    if ($ENV{GOCONNECT_KEEP}) {
        print STDERR "# kept: $self->{dir}\n";
    } else {
        system 'rm', '-rf', $self->{dir};
    }
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->destroy;
    return;
}

package GoConnect::Lab::Host;

use strict;
use warnings;
use Carp qw(croak);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

sub _new {
    my ($class, $lab, $name) = @_;
    my $dir = "$lab->{dir}/$name";
    mkdir $dir or croak "$dir: $!";
    mkdir "$dir/home";
    my $self = bless { name => $name, dir => $dir, started => {} }, $class;

    # The holder is the process namespace's first process: with it, all end.
    my $holder = fork // croak "fork: $!";
    if (!$holder) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/holder.log";
        open STDERR, '>&', \*STDOUT;
        exec 'setpriv', '--pdeathsig', 'KILL', '--', 'unshare', '--net', '--mount', '--pid',
            '--uts', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private', '--',
            'sh', '-c', 'mount -t tmpfs -o mode=755 none /run && '
                . 'mount -t tmpfs -o mode=755 none /var/lib && '
                . 'mkdir -p /run/wireguard && chmod 700 /run/wireguard && '
                . 'hostname "$1" && : > "$0/up" && exec sleep infinity', $dir, $name
            or POSIX::_exit(127);
    }
    $self->{holder} = $holder;
    my $end = time + 10;
    until (-e "$dir/up") {
        croak "host $name did not come up: " . $self->_slurp("$dir/holder.log")
            if time > $end || waitpid($holder, WNOHANG) == $holder;
        sleep 0.005;
    }
    open my $fh, '<', "/proc/$holder/task/$holder/children" or croak $!;
    ($self->{pid}) = split ' ', <$fh>;
    return $self;
}

# Takes the addresses of a LAN.
sub _settle {
    my ($self, $lan, $number) = @_;
    $self->must('sh', '-c', "ip address add 198.51.$lan.$number/24 dev eth0 && "
        . "ip address add 2001:db8:$lan\::$number/64 dev eth0 nodad && "
        . 'ip link set eth0 up && '
        . "ip route replace default via 198.51.$lan.1 && "
        . "ip -6 route replace default via 2001:db8:$lan\::1");
    $self->{address} = "198.51.$lan.$number";
    return $self;
}

sub _slurp {
    my ($self, $file) = @_;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}

sub name { $_[0]{name} }
sub address { $_[0]{address} }
sub pid { $_[0]{pid} }
sub home { "$_[0]{dir}/home" }
sub netns { "/proc/$_[0]{pid}/ns/net" }

# The words before a command that make it run on this host.
sub prefix {
    my ($self) = @_;
    return ('nsenter', '-t', $self->{pid}, '--net', '--mount', '--pid', '--uts', '--',
        'env', '-u', 'XDG_CONFIG_HOME', '-u', 'XDG_STATE_HOME', '-u', 'XDG_RUNTIME_DIR',
        'HOME=' . $self->home, 'USER=root', 'LC_ALL=C.UTF-8');
}

# Runs a command to its end: (exit status, stdout and stderr together).
# Options in a leading hash: input => text, timeout => seconds (default 60).
sub run {
    my ($self, @command) = @_;
    my %opt = ref $command[0] ? %{ shift @command } : ();
    my $in = "$self->{dir}/stdin.$$";
    open my $fh, '>', $in or croak $!;
    print $fh $opt{input} // '';
    close $fh;
    my $pid = open(my $out, '-|') // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', $in;
        open STDERR, '>&', \*STDOUT;
        my $status = eval { $self->_inside($opt{timeout} // 60, @command) };
        syswrite STDOUT, $@ if !defined $status;
        POSIX::_exit($status // 126);
    }
    local $/;
    my $said = <$out> // '';
    close $out;
    my $status = $?;
    unlink $in;
    return ($status & 127 ? 128 + ($status & 127) : $status >> 8, $said);
}

# Takes this process, a child of the test's, to the host and runs a command
# there: its exit status, 124 when it took too long. As with timeout(1), but
# without the three programs nsenter, env and timeout before each command: in
# the virtual machine they take a quarter of a second.
sub _inside {
    my ($self, $seconds, @command) = @_;
    $SIG{$_} = 'DEFAULT' for qw(TERM INT CHLD ALRM);
    my @ns = map { open my $fh, '<', "/proc/$self->{pid}/ns/$_" or die "$self->{name}: $_: $!\n"; $fh }
        qw(net uts pid mnt);
    GoConnect::Lab::setns($_) for @ns;
    delete @ENV{qw(XDG_CONFIG_HOME XDG_STATE_HOME XDG_RUNTIME_DIR)};
    @ENV{qw(HOME USER LC_ALL)} = ($self->home, 'root', 'C.UTF-8');

    # only a child is in the new process namespace
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setpgrp 0, 0;
        no warnings 'exec';
        exec { $command[0] } @command;
        syswrite STDOUT, "$command[0]: $!\n";
        POSIX::_exit(127);
    }
    my $late = 0;
    local $SIG{ALRM} = sub {
        kill $late++ ? 'KILL' : 'TERM', -$pid;
        alarm 5;
    };
    alarm $seconds;
    1 while waitpid($pid, 0) < 0 && $!{EINTR};
    return 124 if $late;
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

# run() that must succeed; returns what it said.
sub must {
    my ($self, @command) = @_;
    my ($status, $said) = $self->run(@command);
    shift @command if ref $command[0];
    croak "$self->{name}: @command: status $status: $said" if $status;
    return $said;
}

# Starts a command in the background; its output goes to LOG in the host's
# folder (log()). Returns its pid as this process sees it.
sub start {
    my ($self, $log, @command) = @_;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/$log.log";
        open STDERR, '>&', \*STDOUT;
        POSIX::setsid();
        exec $self->prefix, @command or POSIX::_exit(127);
    }
    $self->{started}{$pid} = $log;

    # nsenter forks once more to get into the process namespace.
    my $end = time + 10;
    while (time < $end) {
        my ($child) = split ' ', $self->_slurp("/proc/$pid/task/$pid/children") || '';
        if ($child) {
            $self->{started}{$pid} = $child;
            return $child;
        }
        croak "$command[0] ended at once: " . $self->log($log)
            if waitpid($pid, WNOHANG) == $pid;
        sleep 0.002;
    }
    croak "$command[0] did not start";
}

# Signals a started process (TERM unless said) and waits for its end.
sub stop {
    my ($self, $child, $signal, $seconds) = @_;
    my ($pid) = grep { $self->{started}{$_} eq $child } keys %{ $self->{started} };
    return if !$pid;
    kill $signal // 'TERM', $child;
    my $end = time + ($seconds // 20);
    while (time < $end) {
        if (waitpid($pid, WNOHANG) != 0) {
            delete $self->{started}{$pid};
            $? = $self->{ended}{$child} if exists $self->{ended}{$child};
            return $? & 127 ? 128 + ($? & 127) : $? >> 8;
        }
        sleep 0.005;
    }
    kill 'KILL', $child;
    waitpid $pid, 0;
    delete $self->{started}{$pid};
    croak "$self->{name}: a process did not stop";
}

# Stops a started process where it is, until thaw(). nsenter does as its child
# does, and takes it along.
sub freeze {
    my ($self, $child) = @_;
    my ($pid) = grep { $self->{started}{$_} eq $child } keys %{ $self->{started} };
    kill 'STOP', $child;
    waitpid $pid, POSIX::WUNTRACED;
    return;
}

sub thaw {
    my ($self, $child) = @_;
    return kill 'CONT', grep { $self->{started}{$_} eq $child } keys %{ $self->{started} };
}

sub running {
    my ($self, $child) = @_;
    my ($pid) = grep { $self->{started}{$_} eq $child } keys %{ $self->{started} };
    return 0 if !$pid;
    my $ended = waitpid($pid, WNOHANG);
    $self->{ended}{$child} = $? if $ended == $pid;
    return $ended == 0;
}

sub log {
    my ($self, $log) = @_;
    return $self->_slurp("$self->{dir}/$log.log");
}

# Pings until an answer comes: the seconds it took, or undef after so many.
sub reaches {
    my ($self, $address, $seconds) = @_;
    my $began = time;
    my $end = $began + ($seconds // 10);
    while (time < $end) {
        my ($status) = $self->run({ timeout => 5 }, 'ping', '-n', '-q', '-c', '1', '-W', '1', $address);
        return time - $began if $status == 0;
        sleep 0.02;
    }
    return undef;
}

# Pulls the cable, or puts it back.
sub cable {
    my ($self, $lab, $state) = @_;
    $lab->middle->must('ip', 'link', 'set', $self->{port}, $state);
    return $self;
}

sub _end {
    my ($self) = @_;
    kill 'KILL', $self->{pid} if $self->{pid};
    kill 'KILL', $self->{holder};
    waitpid $self->{holder}, 0;
    waitpid $_, 0 for keys %{ $self->{started} };
    return;
}

1;
