package GoConnect::NatLab;

# A lab in which hosts sit behind routers of every kind that people have at home.
#
#   my $lab = GoConnect::NatLab->new;
#   my $a = $lab->behind('a', 'cone');
#   my $b = $lab->behind('b', 'symmetric');
#   my $c = $lab->behind('c', lan_of => 'a');      # on a's LAN
#   my $d = $lab->behind('d', router_of => 'a');   # another LAN of a's router
#   my $e = $lab->behind('e', provider_of => 'f'); # another subscriber of f's provider
#
# Linux translates addresses: by `masquerade` it keeps a port that is free, so
# that who is asked in vain is asked again from the same port (a cone in effect);
# by `random,fully-random` each destination has another one (symmetric).
#
# Besides 198.18.0.1 the middle has $OTHER and, for IPv6, $SERVER6.

use strict;
use warnings;
use Carp qw(croak);
use GoConnect::Lab;
use parent -norequire, 'GoConnect::Lab';

our $OTHER = '198.18.0.2';
our $SERVER6 = '2001:db8:ffff::1';
our $PORT = 51820; # what a `forward` router lets in
our @KINDS = qw(public cone reject open symmetric forward blocked cgnat cgnat_symmetric);

sub new {
    my ($class) = @_;
    my $self = GoConnect::Lab::new($class);
    $self->middle->must('sh', '-c', "ip address add $OTHER/32 dev lo; ip address add $SERVER6/128 dev lo nodad");
    return bless $self, $class;
}

# How a router lets packets through, in nftables: of which kind it is, and for
# `forward` to whom. IPv6 is not translated; what nobody asked for is dropped.
sub _rules {
    my ($kind, $to) = @_;
    my $how = $kind =~ /symmetric/ ? 'random,fully-random' : '';
    my $forward = $kind eq 'forward' ? "iifname eth0 udp dport $PORT dnat ip to $to" : '';
    my $blocked = $kind eq 'blocked' ? 'meta l4proto udp drop' : '';
    my $input = { open => '', reject => 'iifname eth0 counter reject' }->{$kind} // 'iifname eth0 counter drop';
    return <<"NFT";
table ip nat {
    chain prerouting { type nat hook prerouting priority dstnat; $forward
    }
    chain postrouting { type nat hook postrouting priority srcnat; oifname eth0 masquerade $how
    }
}
table inet filter {
    chain input { type filter hook input priority filter; policy accept;
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        $input
    }
    chain forward { type filter hook forward priority filter; policy drop;
        $blocked
        ct state established,related accept
        ct status dnat accept
        meta l4proto ipv6-icmp accept
        iifname "lan*" oifname eth0 accept
    }
}
NFT
}

# A router on the internet, or at a provider's.
sub _router {
    my ($self, $name, $provider) = @_;
    my $router = $provider ? $self->_inside($name, $provider) : $self->host($name);
    $router->must('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding; '
        . 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad; echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter; '
        # neighbours on a bridge are no matter of the router's rules
        . 'for family in ip ip6; do echo 0 > /proc/sys/net/bridge/bridge-nf-call-${family}tables; done 2>/dev/null || :');
    $router->{lans} = 0;
    return $router;
}

# A LAN of a router: { router, net, net6, bridge, hosts }.
sub _lan {
    my ($self, $router, $provider) = @_;
    my $n = ++$self->{inner};
    my $bridge = 'lan' . $router->{lans}++;
    my $net = $provider ? "100.64.$n" : "192.168.$n";
    my $net6 = "2001:db8:8000:$n";
    $router->must('sh', '-c', "ip link add $bridge type bridge forward_delay 0 && ip address add $net.1/24 dev $bridge && "
        . "ip address add $net6\::1/64 dev $bridge nodad && ip link set $bridge up");
    $self->_route($router, "$net6\::/64");
    return { router => $router, net => $net, net6 => $net6, bridge => $bridge, hosts => 1 };
}

# By which way a prefix of IPv6 is reached from the middle.
sub _route {
    my ($self, $router, $prefix) = @_;
    my $lan = $self->{inside}{ $router->name };
    if ($lan) {
        $lan->{router}->must('ip', '-6', 'route', 'add', $prefix, 'via', $router->{inner6});
        return $self->_route($lan->{router}, $prefix);
    }
    my ($via) = $router->must(qw(ip -6 -o address show dev eth0 scope global)) =~ m{inet6 (\S+)/64} or croak 'no IPv6';
    return $self->middle->must('ip', '-6', 'route', 'add', $prefix, 'via', $via);
}

# A host with a cable into such a LAN.
sub _inside {
    my ($self, $name, $lan) = @_;
    croak "there is a host $name already" if $self->{host}{$name};
    my $host = $self->{host}{$name} = GoConnect::Lab::Host->_new($self, $name);
    my ($router, $number) = ($lan->{router}, ++$lan->{hosts});
    my $port = "$lan->{bridge}x$number";
    system('nsenter', '--net=' . $router->netns, 'ip', 'link', 'add', $port, 'type', 'veth', 'peer', 'name', 'eth0',
        'netns', $host->pid) == 0 or croak "no link for host $name";
    $router->must('ip', 'link', 'set', $port, 'master', $lan->{bridge}, 'up');
    ($host->{inner}, $host->{inner6}) = ("$lan->{net}.$number", "$lan->{net6}::$number");
    $host->must('sh', '-c', 'echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad; ip link set lo up; '
        . "ip address add $host->{inner}/24 dev eth0 && ip address add $host->{inner6}/64 dev eth0 nodad && "
        . "ip link set eth0 up && ip route add default via $lan->{net}.1 && "
        . "ip -6 route add default via $lan->{net6}::1");
    $self->{inside}{$name} = $lan;
    return $host;
}

sub behind {
    my ($self, $name, @how) = @_;
    my ($kind, %opt) = @how % 2 ? @how : ('cone', @how);
    grep { $_ eq $kind } @KINDS or croak "no kind $kind; there are: @KINDS";
    return $self->host($name) if $kind eq 'public' && !%opt;
    return $self->_inside($name, $self->{inside}{ $opt{lan_of} }) if $opt{lan_of};

    my ($router, $provider);
    if ($opt{router_of}) {
        $router = $self->{inside}{ $opt{router_of} }{router};
    } elsif ($opt{provider_of} || $kind =~ /^cgnat/) {
        my $own = $opt{provider_of}
            ? $self->{inside}{ $self->router($opt{provider_of})->name }{router} : $self->_router("$name-provider");
        $provider = $self->_lan($own, 1);
        $own->must({ input => _rules($kind =~ /symmetric/ ? 'symmetric' : 'cone') }, 'nft', '-f', '-')
            if !$opt{provider_of};
        $router = $self->_router("$name-router", $provider);
        $kind = 'cone';
    } else {
        $router = $self->_router("$name-router");
    }
    my $host = $self->_inside($name, $self->_lan($router));
    $router->must({ input => _rules($kind, $host->{inner}) }, 'nft', '-f', '-') if !$opt{router_of};
    return $host;
}

# The router that a host is behind, and a host's address in its own LAN.
sub router { my ($self, $name) = @_; return $self->{inside}{$name}{router} }

# What a router has refused from outside so far.
sub refused {
    my ($self, $name) = @_;
    return $self->router($name)->must(qw(nft list chain inet filter input)) =~ /counter packets (\d+)/ ? $1 : undef;
}

1;
