//! Links, addresses and routes of the host (`rtnetlink(7)`), as they were when the sandbox started.
//! Nothing is asked of the host, and nothing of the host is changed.

use super::message::{Answer, Request};
use super::route::dump;
use crate::host::Interfaces;
use bevor_abi::Errno;
use bevor_abi::errno::{ENODEV, EOPNOTSUPP, EPERM};
use bevor_abi::netlink::{
    IFLA_IFNAME, Ifaddrmsg, Ifinfomsg, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_MULTI, RTM_GETADDR,
    RTM_GETLINK, RTM_GETNEIGH, RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, Rtmsg,
};

/// The datagrams that answer a request.
pub(super) fn serve(request: &Request<'_>, host: &Interfaces) -> Result<Vec<Vec<u8>>, Errno> {
    let kind = request.head.nlmsg_type;
    // The third of each four asks; all others change something.
    if kind % 4 != 2 {
        return Err(EPERM.because("the host's network is not changed from inside"));
    }
    let dumps = request.head.nlmsg_flags & NLM_F_DUMP == NLM_F_DUMP;
    match kind {
        RTM_GETLINK if dumps => Ok(all(request, host, RTM_NEWLINK, NLM_F_MULTI, |_| true)),
        RTM_GETLINK => one_link(request, host),
        RTM_GETADDR if dumps => {
            let wanted: Ifaddrmsg = request.fixed();
            let filtered = if wanted.ifa_index == 0 { 0 } else { NLM_F_DUMP_FILTERED };
            Ok(all(request, host, RTM_NEWADDR, NLM_F_MULTI | filtered, |answer| {
                let shown: Ifaddrmsg = answer.fixed();
                (wanted.ifa_family == 0 || wanted.ifa_family == shown.ifa_family)
                    && (wanted.ifa_index == 0 || wanted.ifa_index == shown.ifa_index)
            }))
        }
        RTM_GETROUTE if dumps => {
            let family = request.fixed::<Rtmsg>().rtm_family;
            Ok(all(request, host, RTM_NEWROUTE, NLM_F_MULTI, |answer| {
                family == 0 || answer.fixed::<Rtmsg>().rtm_family == family
            }))
        }
        // Who answers on the host's links is nobody's business.
        RTM_GETNEIGH if dumps => Ok(dump(request, Vec::new())),
        _ => Err(EOPNOTSUPP.into()),
    }
}

/// The messages of type `kind` that `fits` takes, as the answer to a dump.
fn all(
    request: &Request<'_>,
    host: &Interfaces,
    kind: u16,
    flags: u16,
    fits: impl Fn(&Request<'_>) -> bool,
) -> Vec<Vec<u8>> {
    let shown = host.messages(kind).filter(|message| as_request(request, message, &fits));
    let answers: Vec<Answer> = shown.filter_map(|message| request.repeat(message, flags)).collect();
    dump(request, answers)
}

/// Looks at a message as at a request, whose parts are found in the same way.
fn as_request(request: &Request<'_>, message: &[u8], fits: impl Fn(&Request<'_>) -> bool) -> bool {
    let body = message.get(size_of_val(&request.head)..).unwrap_or_default();
    fits(&Request { head: request.head, body, port: request.port })
}

/// The link a request names, by index or by name.
fn one_link(request: &Request<'_>, host: &Interfaces) -> Result<Vec<Vec<u8>>, Errno> {
    let index = request.fixed::<Ifinfomsg>().ifi_index;
    let until_nul = |name: &[u8]| name.split(|&byte| byte == 0).next().map(<[u8]>::to_vec);
    let name = request.attribute::<Ifinfomsg>(IFLA_IFNAME).and_then(until_nul);
    let fits = |answer: &Request<'_>| match index {
        0 => {
            name.is_some() && answer.attribute::<Ifinfomsg>(IFLA_IFNAME).and_then(until_nul) == name
        }
        index => answer.fixed::<Ifinfomsg>().ifi_index == index,
    };
    let mut messages = host.messages(RTM_NEWLINK);
    let found = messages.find(|message| as_request(request, message, fits)).ok_or(ENODEV)?;
    let answer = request.repeat(found, 0).ok_or(ENODEV)?;
    Ok(vec![answer.finish()])
}
