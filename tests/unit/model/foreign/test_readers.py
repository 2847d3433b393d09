"""What is read of each tool's configuration."""

from __future__ import annotations

import pytest

from jaild.model.errors import InvalidArgumentError
from jaild.model.foreign import bastille, ezjail, iocage, jailconf, pot
from jaild.model.foreign.jail import ForeignMount
from jaild.model.jails.spec import Boot, JailSpec, Limits, Mode, Network, Port, Stop
from tests.unit.model.foreign import configurations as written


def test_a_jail_of_iocage_is_described_by_its_config_and_fstab() -> None:
    jail = iocage.read("web", "/iocage", written.iocage())
    assert jail.spec == JailSpec(
        hostname="web",
        command=("/bin/sh", "/etc/rc"),
        network=Network(mode=Mode.VNET, addresses=("10.0.0.5/24",), gateway="10.0.0.1", bridge="bridge0"),
        limits=Limits(memory="2G"),
        allow=("sysvipc",),
        boot=Boot(order=99),
        stop=Stop(timeout=30.0),
    )
    assert (jail.kernel_name, jail.release, jail.boots) == ("ioc-web", "14.1-RELEASE-p5", True)
    assert jail.places.own == "/iocage/jails/web/root"
    assert jail.places.userland == "/iocage/releases/14.1-RELEASE/root"
    assert jail.mounts == (
        ForeignMount(source="/tank/photos", target="/mnt/photos"),
        ForeignMount(source="/tank/the music", target="/mnt/music", readonly=True),
    )
    assert [left.key for left in jail.left] == ["vnet0_mac"]


def test_what_a_config_of_iocage_does_not_say_is_in_its_defaults() -> None:
    files = written.iocage(boot=None, vnet=None, ip4_addr=None) | {"defaults": '{"boot": 1, "ip4": "inherit"}'}
    jail = iocage.read("web", "/iocage", files)
    assert jail.boots
    assert jail.spec.network.mode is Mode.HOST


def test_a_basejail_of_iocage_sees_its_release_by_mounts_which_are_no_volumes() -> None:
    line = "/iocage/releases/14.1-RELEASE/root/bin /iocage/jails/web/root/bin nullfs ro 0 0\n"
    jail = iocage.read("web", "/iocage", written.iocage(basejail=1) | {"fstab": line})
    assert (jail.places.hidden, jail.mounts) == (("bin",), ())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1'])
def test_a_config_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"config\.json") as caught:
        iocage.read("web", "/iocage", {"config": text})
    assert caught.value.reason == "FOREIGN_CONFIG_UNREADABLE"


def test_a_thin_jail_of_bastille_sees_its_release_through_links() -> None:
    files = written.bastille(
        rctl="jail:web:memoryuse:deny=1G/jail\njail:web:memoryuse:log=1G/jail\n",
        cpuset="0,1\n",
        rdr="dual em0 any 192.0.2.1 tcp 8080 80\ninet em0 any any udp 53 53\n",
    )
    jail = bastille.read("web", "/usr/local/bastille", files)
    assert jail.spec == JailSpec(
        hostname="web",
        command=("/bin/sh", "/etc/rc"),
        network=Network(
            mode=Mode.SHARED_IP,
            addresses=("10.17.89.5/24",),
            interface="bastille0",
            ports=(Port(host=8080, jail=80, address="192.0.2.1"),),
        ),
        limits=Limits(memory="1G", cpuset="0,1"),
        boot=Boot(order=99),
    )
    assert jail.places.userland == "/usr/local/bastille/releases/14.1-RELEASE"
    assert (jail.places.links, jail.places.hidden, jail.mounts) == ("/.bastille/", (".bastille",), ())
    assert [left.value for left in jail.left] == ["inet em0 any any udp 53 53"]  # of no one address of the host


def test_a_vnet_jail_of_bastille_has_its_address_in_its_own_rc_conf() -> None:
    rc = 'ifconfig_vnet0="inet 10.0.0.7/24"\ndefaultrouter="10.0.0.1"\nsshd_enable="YES"\n'
    jail = bastille.read("web", "/usr/local/bastille", written.bastille(written.BASTILLE_VNET, rc=rc))
    wanted = Network(mode=Mode.VNET, addresses=("10.0.0.7/24",), gateway="10.0.0.1", bridge="bridge1")
    assert jail.spec.network == wanted
    assert jail.left == ()


def test_an_address_of_dhcp_is_told_and_none_is_made_up() -> None:
    files = written.bastille(written.BASTILLE_VNET, rc='ifconfig_vnet0="SYNCDHCP"\n')
    jail = bastille.read("web", "/usr/local/bastille", files)
    assert jail.spec.network.addresses == ()
    assert [(left.key, left.value) for left in jail.left] == [("ifconfig_vnet0", "SYNCDHCP")]


def test_a_hook_of_ones_own_is_told_where_that_of_bastille_is_not() -> None:
    more = 'exec.prestart += "/root/backup.sh";'
    jail = bastille.read("web", "/usr/local/bastille", written.bastille(written.BASTILLE_VNET, more, rc=""))
    assert [left.key for left in jail.left] == ["exec.prestart"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("web { }", {}),
        ("web { a; }", {"a": ()}),
        ("web { a = 1, 2; a += '3'; }", {"a": ("1", "2", "3")}),
        ("web { a = 1; a = 2; }", {"a": ("2",)}),
        ("# web { b; }\n/* web { c; } */ web { // d;\n a = 'it\\'s; {'; }", {"a": ("it's; {",)}),
        ("other { a = 1; } web { a = em0|10.0.0.5/24; }", {"a": ("em0|10.0.0.5/24",)}),
    ],
)
def test_a_jail_conf_is_read_block_by_block(text: str, found: dict[str, tuple[str, ...]]) -> None:
    assert jailconf.parse(text, "web") == found


@pytest.mark.parametrize("text", ["", "web", "web {", "web { a = 'b; }", "other { a; }"])
def test_a_jail_conf_without_the_jails_whole_block_is_told(text: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        jailconf.parse(text, "web")
    assert caught.value.reason == "FOREIGN_CONFIG_UNREADABLE"


def test_a_pot_of_type_multi_has_its_parts_in_datasets_of_their_own() -> None:
    more = 'pot.export.ports=tcp:80:8080 443\npot.env="COLOUR=blue"\npot.rss.memory=512M\n'
    jail = pot.read("web", "/opt/pot", written.pot(more=more))
    assert jail.spec == JailSpec(
        hostname="web.host",
        command=("sh", "/etc/rc"),
        environment={"COLOUR": "blue"},
        network=Network(
            mode=Mode.VNET,
            addresses=("10.192.0.9/10",),
            gateway="10.192.0.1",
            ports=(Port(host=8080, jail=80),),
        ),
        limits=Limits(memory="512M"),
        boot=Boot(autostart=False),
    )
    places = jail.places
    assert (places.own, places.local) == ("/opt/pot/jails/web/custom", "/opt/pot/jails/web/usr.local")
    assert (places.local_etc, places.packages) == (f"{places.own}/usr.local.etc", f"{places.local}/var.db.pkg")
    assert places.data["home"] == f"{places.own}/usr.home"
    assert jail.mounts == (ForeignMount(source="/opt/pot/fscomp/photos", target="/mnt/photos"),)
    assert [left.value for left in jail.left] == ["443"]  # of which pot would choose the port


def test_a_pot_of_type_single_is_one_tree() -> None:
    files = written.pot()
    files["config"] = files["config"].replace("pot.type=multi", "pot.type=single")
    assert pot.read("web", "/opt/pot", files).places.own == "/opt/pot/jails/web/m"


def test_a_jail_of_ezjail_sees_its_basejail_through_links() -> None:
    jail = ezjail.read("web.example", "/usr/local/etc/ezjail", written.ezjail())
    assert jail.spec == JailSpec(
        hostname="web.example",
        command=("/bin/sh", "/etc/rc"),
        network=Network(mode=Mode.SHARED_IP, addresses=("10.0.0.5/32", "2001:db8::5/128"), interface="em0"),
    )
    assert (jail.kernel_name, jail.boots, jail.left) == ("web_example", True, ())
    assert (jail.places.own, jail.places.userland) == ("/usr/jails/web.example", "/usr/jails/basejail")


def test_a_jail_that_ezjail_does_not_run_does_not_boot_here_either() -> None:
    files = written.ezjail()
    jail = ezjail.read("web.example", "/usr/local/etc/ezjail", {"norun": files["config"]})
    assert not jail.boots
    assert not jail.spec.boot.autostart
