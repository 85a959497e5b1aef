package GoConnect::Scenario;

# Where the scenarios of GoConnect::Scenario::* are played: a lab with a server
# and a tenant in it, and devices on which the agent runs, by whichever back
# end the machine has.
#
#   my $w = GoConnect::Scenario->begin;
#   my ($ada, $bob) = map { $w->device($_) } qw(ada bob);
#   GoConnect::Scenario::Probe::play($w, $ada, $bob);
#   $w->end;
#
# In the virtual machine all is ten times slower than a server's deadlines are
# made for: what it does not answer in time is asked again there.

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use Test::More;

our $IN_VM = $ENV{GOCONNECT_IN_VM};

my $SLOW = qr/no answer in time|statement timeout|presence failed|the database is (?:away|back)/;

# Does what may fail where the machine is too slow; there, again.
sub patiently {
    my ($do) = @_;
    return $do->() if !$IN_VM;
    for my $n (1 .. 6) {
        my $result = eval { $do->() };
        return $result if defined $result;
        diag "attempt $n: ", (split /\n/, $@)[0];
    }
    croak "it never worked: $@";
}

# Options: workers => N, server => [...] for GoConnect::Server.
sub begin {
    my ($class, %opt) = @_;
    my $lab = GoConnect::Lab->new->enter;
    my $server = GoConnect::Server->start(workers => $opt{workers} // 1,
        address => $GoConnect::Lab::SERVER, $IN_VM ? (allow => $SLOW) : ());
    my $self = bless { lab => $lab, server => $server, device => [], users => 0 }, $class;
    $self->{owner} = patiently(sub { $server->register('owner' . $self->_number) });
    $self->{since} = time;
    $self->{tenant} = $self->must(201, POST => '/v1/tenants', { name => 'Friends' });
    return $self;
}

sub lab { $_[0]{lab} }
sub server { $_[0]{server} }

# The owner's token, another one before it ends after a quarter of an hour.
sub _as {
    my ($self) = @_;
    if (time - $self->{since} > 600) {
        $self->{owner} = patiently(sub { $self->{server}->login($self->{owner}{name}) });
        $self->{since} = time;
    }
    return (token => $self->{owner}{token});
}

sub _number { my $n = $_[0]{users}++; return $n || '' }

# The owner's call that must have this status; returns the JSON.
sub must {
    my ($self, $status, $method, $path, $body) = @_;
    my @as = $self->_as;
    return patiently(sub { $self->{server}->must($status, $method => $path, $body, @as) // 1 });
}

# A registered device. Options are GoConnect::Device's.
sub device {
    my ($self, $name, %opt) = @_;
    my $device = GoConnect::Device->new($self->{lab}, $name, %opt);
    patiently(sub { $device->register($self->{server}->url, $name . $self->_number) });
    push @{ $self->{device} }, $device;
    return $device;
}

# The host on the LAN of a device that has no agent.
sub neighbour {
    my ($self, $device) = @_;
    my $name = 'beside-' . $device->name;
    return $self->{neighbour}{$name} //= $self->{lab}->host($name, with => $device->name);
}

# A new network as the API shows it; the slug is its name.
sub network {
    my ($self, $name, %more) = @_;
    my $path = "/v1/tenants/$self->{tenant}{id}/networks";
    return patiently(sub {
        my ($status, $made) = $self->{server}->api(POST => $path,
            { name => ucfirst $name, slug => $name, %more }, $self->_as);
        return $made if $status == 201;

        # asked again, it may be there by the first time
        my $list = $self->must(200, GET => $path)->{items};
        my ($there) = grep { $_->{slug} eq $name } @$list;
        return $there // croak "network $name: status $status";
    });
}

# The URL of an invite. Options: role.
sub invite {
    my ($self, $network, %opt) = @_;
    return $self->must(201, POST => "/v1/tenants/$self->{tenant}{id}/invites",
        { network_id => $network->{id}, max_uses => 100, %opt })->{url};
}

sub join_by {
    my ($self, $device, $url, $name) = @_;
    return patiently(sub {
        return 1 if eval { $device->join($url) };
        my $why = $@;
        return $device->network($name) ? 1 : croak $why;
    });
}

# These devices join a network, see each other in it and reach each other.
sub gather {
    my ($self, $network, @device) = @_;
    my $url = $self->invite($network);
    $self->join_by($_, $url, $network->{name}) for @device;
    return $self->meet($network, @device);
}

sub meet {
    my ($self, $network, @device) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $d (@device) {
        my @other = grep { $_ != $d } @device;
        my $want = join ' ', sort map { $_->name } @other;
        ok defined $d->await(sub { join(' ', sort keys %{ $d->peers }) eq $want }, 60),
            $d->name . ' sees the others';
        is scalar(grep { !defined $d->host->reaches($_->address, 60) } @other), 0,
            $d->name . ' reaches them';
    }
    return;
}

# A network that is deleted is gone from its devices.
sub dissolve {
    my ($self, $network, @device) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->must(204, DELETE => "/v1/networks/$network->{id}");
    for my $d (@device) {
        ok defined $d->await(sub {
            !grep { $_->{network_id} eq $network->{id} } @{ $d->json('status')->{networks} } }, 60),
            $d->name . ' is not in it any more';
    }
    return;
}

# { device's name => peer } of a network, as the API shows them.
sub peers {
    my ($self, $network) = @_;
    return { map { $_->{name} => $_ } @{ $self->must(200, GET => "/v1/networks/$network->{id}/peers")->{items} } };
}

sub end {
    my ($self) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is $_->stop_daemon, 0, $_->name . ' ends clean' for grep { $_->{daemon} } @{ $self->{device} };
    $self->{server}->stop;
    return;
}

1;
