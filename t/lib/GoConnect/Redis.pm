package GoConnect::Redis;

# A private Redis for tests: on loopback and on a UNIX socket, without a disk.
#
#   my $redis = GoConnect::Redis->start(password => 'secret');
#   my $nodes = GoConnect::Nodes->start(bus => $redis->bus);
#   $redis->kill;            # kill -9
#   $redis->up;              # again, at the same port
#   $redis->freeze;          # SIGSTOP: connections stay, nothing is answered
#   $redis->thaw;
#   $redis->command('PUBLISH', 'channel', 'text');
#   $redis->stop;

use strict;
use warnings;
use Carp qw(croak);
use File::Temp qw(tempdir);
use GoConnect::Server;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

# password => of the default user, a word; user => of a further one instead,
# rules => "what this user may do"; config => [ 'a line of redis.conf', ... ]
sub start {
    my ($class, %opt) = @_;
    my $dir = tempdir('gcredis-XXXXXX', DIR => '/tmp', CLEANUP => 0);
    chmod 0755, $dir;
    my $self = bless { %opt, dir => $dir, owner => $$, port => GoConnect::Server::free_port() },
        $class;
    $self->write_password($self->{password}) if defined $self->{password};
    return $self->up;
}

sub port { $_[0]{port} }
sub path { "$_[0]{dir}/socket" }
sub password_file { "$_[0]{dir}/password" }

sub write_password {
    my ($self, $password) = @_;
    open my $fh, '>', $self->password_file or croak $!;
    chmod 0600, $fh;
    print $fh "$password\n";
    close $fh or croak $!;
    return $self;
}

# What goconnect_bus takes; unix => 1: by the socket.
sub bus {
    my ($self, %opt) = @_;
    my $bus = $opt{unix} ? 'unix:' . $self->path
        : 'redis://' . ($self->{user} ? "$self->{user}\@" : '') . "127.0.0.1:$self->{port}";
    $bus .= ' password_file=' . $self->password_file if defined $self->{password};
    return $bus;
}

sub write_config {
    my ($self) = @_;
    my @line = ('bind 127.0.0.1', "port $self->{port}", 'unixsocket ' . $self->path,
        'unixsocketperm 777', "dir $self->{dir}", 'save ""', 'appendonly no', 'daemonize no',
        @{ $self->{config} // [] });
    if ($self->{user}) {
        push @line, "user $self->{user} on >$self->{password} " . ($self->{rules} // '+@all ~* &*');
    } elsif (defined $self->{password}) {
        push @line, "requirepass $self->{password}";
    }
    open my $fh, '>', "$self->{dir}/redis.conf" or croak $!;
    print $fh map { "$_\n" } @line;
    close $fh or croak $!;
    return;
}

sub up {
    my ($self) = @_;
    croak 'Redis is up already' if $self->{pid};
    $self->write_config;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        POSIX::setsid();
        exec 'setpriv', '--pdeathsig', 'TERM', '--', 'redis-server', "$self->{dir}/redis.conf"
            or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    my $end = time + 30;
    while (time < $end) {
        return $self if eval { $self->command('PING') } // '' eq 'PONG';
        croak "redis-server did not start:\n" . $self->log if waitpid($pid, WNOHANG) == $pid;
        sleep 0.02;
    }
    croak 'redis-server does not answer';
}

sub log {
    my ($self) = @_;
    open my $fh, '<', "$self->{dir}/log" or return '';
    local $/;
    return scalar <$fh>;
}

# One command; what redis-cli says, lines joined.
sub command {
    my ($self, @word) = @_;
    my @cli = ('redis-cli', '-s', $self->path, '--no-auth-warning');
    push @cli, '-a', $self->{password} if defined $self->{password} && !$self->{user};
    open my $fh, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @cli, @word
        or croak "redis-cli: $!";
    my $said = do { local $/; <$fh> } // '';
    close $fh;
    chomp $said;
    croak "redis-cli: $said" if $said =~ /^(?:NOAUTH|WRONGPASS|ERR|NOPERM|LOADING)|Could not connect/m;
    return $said;
}

# The channels that somebody listens on and that are not one worker's own.
sub channels {
    my ($self) = @_;
    return grep { !/:[0-9a-f]{16}$/ } split /\n/, $self->command('PUBSUB', 'CHANNELS', '*');
}

sub kill {
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return $self;
    CORE::kill $signal // 'KILL', $pid;
    CORE::kill 'CONT', $pid;
    waitpid $pid, 0;
    return $self;
}

sub freeze { CORE::kill 'STOP', $_[0]{pid}; return $_[0] }
sub thaw { CORE::kill 'CONT', $_[0]{pid}; return $_[0] }

sub stop {
    my ($self) = @_;
    return if $self->{owner} != $$;
    $self->kill;
    system 'rm', '-rf', $self->{dir};
    return;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop;
    return;
}

1;
