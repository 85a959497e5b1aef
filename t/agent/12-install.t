# make install into an empty root, and make uninstall: what is left.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Find;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

my $top = abs_path("$FindBin::Bin/../..");
my $build = $ENV{GOCONNECT_BUILD} // "$top/build";
my $dir = tempdir(CLEANUP => 1);
my $root = "$dir/root";

# Everything in the root, as path => what it is.
sub tree {
    my %found;
    find({ no_chdir => 1, wanted => sub {
        my ($mode, $size) = (lstat)[ 2, 7 ];
        $found{ substr $_, length $root } = -d _ ? 'folder' : sprintf '%o %d', $mode & 07777, $size;
    } }, $root) if -d $root;
    delete $found{''};
    return \%found;
}

sub script {
    my (%env) = @_;
    local %ENV = (%ENV, B => $build, DESTDIR => $root, PREFIX => '/usr/local', %env);
    my @arguments = delete $ENV{REMOVE} ? 'remove' : ();
    open my $out, '-|', 'sh', '-c', 'exec "$0" "$@" 2>&1', "$top/scripts/install", @arguments
        or die $!;
    my $said = do { local $/; <$out> };
    close $out;
    return ($? >> 8, $said);
}

my ($status, $said) = script(REMOVE => 1);
is $status, 1, 'nothing is removed that was never put';
like $said, qr/not installed there/, 'and that is said';

($status, $said) = script();
is $status, 0, 'installed' or diag $said;
my $put = tree();
for my $file (qw(sbin/goconnectd bin/goconnect lib/libnss_goconnect.so.2 share/man/man1/goconnect.1
        share/man/man8/goconnectd.8 share/man/man5/goconnectd.conf.5
        share/bash-completion/completions/goconnect share/zsh/site-functions/_goconnect
        share/fish/vendor_completions.d/goconnect.fish share/goconnect/html/index.html
        share/goconnect/sql/migrate share/goconnect/monitoring/alerts.yml)) {
    ok $put->{"/usr/local/$file"}, "/usr/local/$file";
}
ok $put->{"/etc/$_"}, "/etc/$_"
    for qw(goconnect/goconnectd.conf goconnect/nginx.conf systemd/system/goconnectd.service);
is $put->{'/usr/local/bin/goconnect'} =~ s/ .*//r, '755', 'a program may be run';
is $put->{'/etc/goconnect/goconnectd.conf'} =~ s/ .*//r, '644', 'settings may be read';

($status) = script();
is $status, 0, 'installed over it';
is_deeply tree(), $put, 'nothing changes';

open my $conf, '>>', "$root/etc/goconnect/goconnectd.conf" or die $!;
print $conf "log-level = warn\n";
close $conf;
($status, $said) = script();
like $said, qr/kept .*goconnectd\.conf; the new one is .*\.new/, 'changed settings are kept';
mkdir "$root/var" and mkdir "$root/var/lib" and mkdir "$root/var/lib/goconnect" or die $!;
mkdir "$root/usr/local/share/other" or die $!;

($status, $said) = script(REMOVE => 1);
is $status, 0, 'removed' or diag $said;
like $said, qr/are kept; PURGE=1/, 'and says what is kept';
is_deeply [ sort keys %{ tree() } ], [ '/etc', '/etc/goconnect',
    (map { "/etc/goconnect/$_" } qw(goconnectd.conf locations.conf log.conf nginx.conf relay.conf)),
    '/usr', '/usr/local', '/usr/local/share', '/usr/local/share/other', '/var', '/var/lib',
    '/var/lib/goconnect' ], "settings, state and what is not ours, and nothing else";

rmdir "$root/usr/local/share/other";
rmdir "$root/usr/local/share" and rmdir "$root/usr/local" and rmdir "$root/usr";
($status, $said) = script(PREFIX => '/opt/goconnect');
is $status, 0, 'installed below another prefix, over the settings';
open my $unit, '<', "$root/etc/systemd/system/goconnectd.service" or die $!;
unlike join('', <$unit>), qr{/usr/local}, 'the unit knows of it';
($status, $said) = script(PREFIX => '/opt/goconnect', REMOVE => 1, PURGE => 1);
is $status, 0, 'removed with all of it' or diag $said;
is_deeply [ sort keys %{ tree() } ], [qw(/etc /var /var/lib)],
    'nothing is left but folders that were there before';

done_testing;
