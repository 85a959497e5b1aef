package AgentTest;

# One host with goconnectd and goconnect, in a lab with a scripted control
# plane in the middle.
#
#   my ($lab, $plane, $a) = lab_with_agent();
#   $a->must('join', $network->{link});
#   is $a->json('status')->{control}, 'connected';

use strict;
use warnings;
use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use GoConnect::Lab;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64);
use Plane;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(lab_with_agent until_true key $BUILD $PASSWORD);

my $root = abs_path(dirname(__FILE__) . '/../../..');
our $BUILD = $ENV{GOCONNECT_BUILD} // "$root/build";
our $PASSWORD = 'correct horse battery';

# A public key that is nobody's: byte n, 32 times.
sub key { encode_base64(pack('C', $_[0]) . ("\x09" x 31), '') }

sub lab_with_agent {
    my (%opt) = @_;
    plan(skip_all => 'network namespaces need root') if $> != 0;
    my $lab = GoConnect::Lab->new;
    $lab->enter;
    my $plane = Plane->start(address => $GoConnect::Lab::SERVER);
    my $agent = AgentTest->new($lab, 'a');
    $agent->daemon if !$opt{no_daemon};
    if ($opt{login}) {
        $agent->must('login', $plane->url, @{ $agent->login_options });
    }
    return ($lab, $plane, $agent);
}

sub new {
    my ($class, $lab, $name) = @_;
    my $self = bless { host => $lab->host($name), args => [ '--insecure' ] }, $class;
    open my $fh, '>', $self->{host}->home . '/password' or croak $!;
    print $fh "$PASSWORD\n";
    close $fh;
    return $self;
}

sub host { $_[0]{host} }
sub log { $_[0]{host}->log('goconnectd') }

sub login_options {
    return [ '--username', 'ada', '--password-file', $_[0]{host}->home . '/password', '--insecure' ];
}

# Starts goconnectd and waits until it answers.
sub daemon {
    my ($self, @before) = @_;
    $self->{daemon} = $self->{host}->start('goconnectd', @before, "$BUILD/goconnectd",
        '--backend', 'userspace', '--log-level', 'debug', @{ $self->{args} });
    return $self if @before;
    return $self->answers;
}

# Waits until goconnectd answers.
sub answers {
    my ($self) = @_;
    my $up = until_true(sub {
        croak 'goconnectd ended: ' . $self->log if !$self->{host}->running($self->{daemon});
        ($self->cli('status'))[0] == 0;
    });
    croak 'goconnectd does not answer: ' . $self->log if !$up;
    return $self;
}

# Starts goconnectd under build/drivers/fault.so and does not wait: fault() says
# after which step it dies.
sub daemon_with_fault {
    my ($self) = @_;
    local $ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '',
        'verify_asan_link_order=0';
    $self->fault(0) if !-e $self->_fault;
    return $self->daemon('env', "LD_PRELOAD=$BUILD/drivers/fault.so", 'GOCONNECT_FAULT=' . $self->_fault);
}

sub _fault { $_[0]{host}->home . '/fault' }

# Dies after so many steps from now on; 0: never. A running daemon is told too.
sub fault {
    my ($self, $step) = @_;
    open my $fh, -e $self->_fault ? '+<' : '+>', $self->_fault or croak $!;
    syswrite $fh, pack('L L a56', $step, 0, '');
    return;
}

# What the daemon died after; undef if it was not for us to say.
sub died_after {
    my ($self) = @_;
    open my $fh, '<', $self->_fault or croak $!;
    sysread $fh, my $bytes, 64;
    my (undef, undef, $last) = unpack 'L L Z56', $bytes;
    return length $last ? $last : undef;
}

sub stop { $_[0]{host}->stop(delete $_[0]{daemon}, $_[1]) }

# goconnect: (status, output). A last hash reference is for GoConnect::Lab.
sub cli {
    my ($self, @command) = @_;
    return $self->{host}->run({ timeout => 50 }, "$BUILD/goconnect", @command);
}

sub must {
    my ($self, @command) = @_;
    my ($status, $said) = $self->cli(@command);
    croak "goconnect @command: $status: $said\n" . $self->log if $status;
    return $said;
}

sub json {
    my ($self, @command) = @_;
    my ($status, $said) = $self->cli(@command, '--json');
    my $document = eval { decode_json($said) };
    croak "goconnect @command --json: $status: $said" if !$document;
    return $document;
}

sub network_of {
    my ($self, $name) = @_;
    my ($network) = grep { $_->{name} eq $name } @{ $self->json('status')->{networks} };
    return $network;
}

# Is the control connection in this state?
sub control { $_[0]->json('status')->{control} }

# What `wg` says of an interface: {public_key, port, peers => {key => {endpoint, allowed}}}
sub wg {
    my ($self, $interface) = @_;
    my ($status, $said) = $self->{host}->run('wg', 'show', $interface, 'dump');
    return if $status;
    my ($first, @rest) = split /\n/, $said;
    my (undef, $public, $port) = split /\t/, $first;
    my %peers;
    for (@rest) {
        my ($key, undef, $endpoint, $allowed) = split /\t/;
        $peers{$key} = { endpoint => $endpoint, allowed => $allowed };
    }
    return { public_key => $public, port => $port, peers => \%peers };
}

# Everything of this host's network that the agent may have made or touched.
sub dump {
    my ($self) = @_;
    my $text = '';
    for (['ip', '-o', 'link'], ['ip', '-o', 'address'], ['ip', 'route'], ['ip', '-6', 'route']) {
        $text .= $self->{host}->must(@$_);
    }
    # what the kernel makes up anew for every interface
    $text =~ s/^.*inet6 fe80::.*\n//mg;
    $text =~ s/^fe80::.*\n//mg;
    $text =~ s/^(?:multicast|ff00).*\n//mg;
    $text =~ s/^\d+: //mg;
    return $text;
}

# All of it: links, addresses, routes, rules, nftables, WireGuard, processes
# and files, without what is other every time.
sub full_dump {
    my ($self) = @_;
    my $text = $self->{host}->must('sh', '-c', <<'SH');
{
    ip -d -o link; ip -o address; ip route show table all; ip -6 route show table all
    ip rule; ip -6 rule; ip neigh show nud permanent; ip -6 neigh show nud permanent
    bridge fdb show | grep dst
    wg show all dump | sed 's/[0-9]*\t[0-9]*\t[0-9]*\t\([a-z0-9]*\)$/\1/'
} | sed 's/^[0-9]*: //' | sort
nft list ruleset
ps -eo args | grep '[w]ireguard-go.*gc-' | grep -v defunct | sort
find /run/goconnect* /run/wireguard /var/lib/goconnect ! -type d | sort
for f in $(find /run/goconnect* /var/lib/goconnect/n* -type f | sort); do echo; echo "$f:"; cat $f; done
grep . /proc/sys/net/ipv?/conf/*/forwarding
SH
    $text =~ s/^.*\bfe80::(?!.*lladdr).*\n//mg;
    $text =~ s/^.*multicast ff00::.*\n//mg;
    return $text;
}

sub interfaces {
    my ($self) = @_;
    return $self->{host}->must('ip', '-o', 'link') =~ /^\d+: (gc-[^:@]+)/mg;
}

sub wireguards {
    my ($self) = @_;
    return scalar grep { /wireguard-go/ && !/defunct/ } split /\n/, ($self->{host}->run('ps', '-eo', 'args'))[1];
}

sub until_true {
    my ($check, $seconds) = @_;
    my $end = time + ($seconds // 20);
    while (time < $end) {
        my $true = $check->();
        return $true if $true;
        sleep 0.05;
    }
    return;
}

1;
