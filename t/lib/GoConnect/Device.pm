package GoConnect::Device;

# A host of a lab with the agent on it, used as a person uses it: goconnectd
# in the background and the goconnect command.
#
#   my $d = GoConnect::Device->new($lab, 'ada');    # goconnectd is up
#   $d->register($server->url);                     # account and device
#   $d->join($invite->{url});
#   my $status = $d->json('status');
#   $d->kill_daemon; $d->start_daemon;

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Cluster;
use GoConnect::Lab;
use JSON::PP qw(decode_json);
use Time::HiRes qw(sleep time);

our $BUILD = $GoConnect::Cluster::BUILD;
our $PASSWORD = 'correct horse battery';

# Options: with => HOST (same LAN), args => [...] for goconnectd (default
# --insecure, as the lab's server speaks plain http), backend => 'userspace',
# env => [ 'NAME=value' ] for goconnectd.
sub new {
    my ($class, $lab, $name, %opt) = @_;
    my $self = bless { name => $name, lab => $lab,
        host => $lab->host($name, $opt{with} ? (with => $opt{with}) : ()),
        args => $opt{args} // [ '--insecure' ], env => $opt{env} // [] }, $class;
    push @{ $self->{args} }, '--backend', $opt{backend} if $opt{backend};
    $self->start_daemon;
    return $self;
}

sub name { $_[0]{name} }
sub host { $_[0]{host} }
sub log { $_[0]{host}->log('goconnectd') }

# Starts goconnectd and waits until it answers the command.
sub start_daemon {
    my ($self) = @_;
    $self->{daemon} = $self->{host}->start('goconnectd', 'env', @{ $self->{env} },
        "$BUILD/goconnectd", @{ $self->{args} });
    my $end = time + 20;
    while (($self->cli('status'))[0] == 3) {
        croak "$self->{name}: goconnectd does not answer:\n" . $self->log
            if time > $end || !$self->{host}->running($self->{daemon});
        sleep 0.02;
    }
    return $self;
}

# Ends goconnectd (TERM unless said); returns its exit status.
sub stop_daemon {
    my ($self, $signal) = @_;
    my $daemon = delete $self->{daemon} // return;
    return $self->{host}->stop($daemon, $signal);
}

sub kill_daemon { $_[0]->stop_daemon('KILL') }
sub freeze_daemon { $_[0]{host}->freeze($_[0]{daemon}) }
sub thaw_daemon { $_[0]{host}->thaw($_[0]{daemon}) }

# goconnect COMMAND: (exit status, output).
sub cli {
    my ($self, @command) = @_;
    my %opt = ref $command[0] ? %{ shift @command } : ();
    return $self->{host}->run(\%opt, "$BUILD/goconnect", @command);
}

# goconnect COMMAND --json that must succeed: the document.
sub json {
    my ($self, @command) = @_;
    my ($status, $said) = $self->cli(@command, '--json');
    croak "$self->{name}: goconnect @command: status $status: $said\n" . $self->log_tail
        if $status;
    return decode_json($said);
}

sub log_tail {
    my ($self) = @_;
    my @line = split /\n/, $self->log;
    splice @line, 0, -25 if @line > 25;
    return join "\n", @line;
}

sub register {
    my ($self, $url, $user) = @_;
    my $file = $self->{host}->home . '/password';
    open my $fh, '>', $file or croak $!;
    print $fh "$PASSWORD\n";
    close $fh;
    return $self->json('register', $url, '--username', $user // $self->{name},
        '--password-file', $file, '--insecure');
}

sub join { $_[0]->json('join', $_[1], '--insecure') }
sub leave { $_[0]->json('leave', $_[1], '--insecure') }

# The document of the one network (or the one of that name) in `status`.
sub network {
    my ($self, $name) = @_;
    my @found = grep { !defined $name || $_->{name} eq $name } @{ $self->json('status')->{networks} };
    return $found[0];
}

sub address { ($_[0]->network // {})->{ip_address} }

# What `peers` lists: { name => peer }, without the device itself.
sub peers {
    my ($self, $network) = @_;
    my $list = $self->json('peers', $network // ())->{peers};
    return { map { $_->{name} => $_ } grep { !$_->{self} } @$list };
}

# Waits until a condition holds; returns the seconds that it took, or undef.
sub await {
    my ($self, $check, $seconds) = @_;
    my $began = time;
    my $end = $began + ($seconds // 20);
    while (time < $end) {
        return time - $began if eval { $check->() };
        sleep 0.02;
    }
    return undef;
}

# Waits until exactly these peers are listed.
sub sees {
    my ($self, $names, $seconds) = @_;
    my $want = "@{[ sort @$names ]}";
    return $self->await(sub { "@{[ sort keys %{ $self->peers } ]}" eq $want }, $seconds);
}

# Interfaces on this host that the agent made, as `ip` lists them.
sub interfaces {
    my ($self) = @_;
    return grep { /^gc-/ } map { (split /[\s@]+/)[0] }
        split /\n/, $self->{host}->must('ip', '-br', 'link');
}

1;
