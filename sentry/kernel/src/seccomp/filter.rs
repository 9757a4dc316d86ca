//! Installed filters: each knows the one before it, and tasks hold the last.

use super::bpf::{Program, Words, words};
use super::notify::Notifier;
use bevor_abi::Errno;
use bevor_abi::conv::{u64_of, usize_of_u32};
use bevor_abi::seccomp::{
    AUDIT_ARCH_X86_64, SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ALLOW, SeccompData,
};
use bevor_memory::Account;
use std::sync::Arc;

/// Architecture of every call a filter sees.
pub const ARCH: u32 = AUDIT_ARCH_X86_64;
/// Words of the cache of allowed calls, which has a bit for each number.
const NR_WORDS: usize = 8;
/// What each earlier filter adds to the length of all.
const PENALTY: u64 = 4;

/// A filter, and those installed before it.
pub struct Filter {
    program: Program,
    prev: Option<Arc<Self>>,
    /// How many there are, this one included.
    pub depth: u32,
    /// Numbers all of them allow whatever the arguments, a bit each.
    allowed: [u64; NR_WORDS],
    /// `SECCOMP_FILTER_FLAG_LOG`.
    pub log: bool,
    /// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`.
    pub wait_killable: bool,
    /// Who is asked about calls.
    pub notifier: Option<Arc<Notifier>>,
    /// Who pays for it.
    account: Arc<Account>,
}

/// What a filter is installed with.
#[derive(Default)]
pub struct Options {
    /// Actions other than allowing are logged.
    pub log: bool,
    /// A task whose notification was received waits killably.
    pub wait_killable: bool,
    /// Who is asked about calls.
    pub notifier: Option<Arc<Notifier>>,
}

/// What the filters say about a call.
pub struct Verdict<'a> {
    /// Action and data.
    pub value: u32,
    /// The filter that said so; `None` when all allow.
    pub by: Option<&'a Filter>,
}

impl Filter {
    /// Puts a program after `prev`; `account` pays for it.
    ///
    /// # Errors
    /// `ENOMEM`: the account's limit.
    pub fn new(
        program: Program,
        prev: Option<Arc<Self>>,
        options: Options,
        account: Arc<Account>,
    ) -> Result<Self, Errno> {
        account.charge(Self::charge(&program))?;
        let mut allowed = prev.as_ref().map_or([u64::MAX; NR_WORDS], |prev| prev.allowed);
        for (word, first) in allowed.iter_mut().zip((0..).step_by(64)) {
            for bit in 0..64 {
                if *word >> bit & 1 != 0 && !program.surely_allows(first + bit, ARCH) {
                    *word &= !(1 << bit);
                }
            }
        }
        let depth = prev.as_ref().map_or(0, |prev| prev.depth) + 1;
        let Options { log, wait_killable, notifier } = options;
        Ok(Self { program, prev, depth, allowed, log, wait_killable, notifier, account })
    }

    /// What a filter of this program is charged with, bytes.
    fn charge(program: &Program) -> u64 {
        u64_of(size_of::<Self>()) + program.len_bytes()
    }

    /// Whether the call is allowed whatever its arguments.
    #[must_use]
    pub fn surely_allows(&self, nr: u32) -> bool {
        let word = self.allowed.get(usize_of_u32(nr / 64));
        word.is_some_and(|word| word >> (nr % 64) & 1 != 0)
    }

    /// Runs all filters; the strictest action wins, among equal ones that of the last installed.
    #[must_use]
    pub fn run(&self, data: &SeccompData) -> Verdict<'_> {
        let words: Words = words(data);
        let mut verdict = Verdict { value: SECCOMP_RET_ALLOW, by: None };
        for filter in self.chain() {
            let value = filter.program.run(&words);
            if severity(value) < severity(verdict.value) {
                verdict = Verdict { value, by: Some(filter) };
            }
        }
        verdict
    }

    /// This filter and those before it.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |filter| filter.prev.as_deref())
    }

    /// Whether `other` is this filter or one before it.
    #[must_use]
    pub fn comes_from(&self, other: &Arc<Self>) -> bool {
        self.chain().any(|filter| std::ptr::eq(filter, Arc::as_ptr(other)))
    }

    /// What the limit on instructions counts if another filter is put after this one.
    #[must_use]
    pub fn counted_len(&self) -> u64 {
        self.chain().map(|filter| u64::from(filter.program.translated_len()) + PENALTY).sum()
    }
}

/// Order of actions: the smaller, the stricter.
const fn severity(value: u32) -> i32 {
    (value & SECCOMP_RET_ACTION_FULL).cast_signed()
}

impl Drop for Filter {
    /// The last task that was under it is gone. A long chain ends step by step, not by recursion.
    fn drop(&mut self) {
        self.account.uncharge(Self::charge(&self.program));
        if let Some(notifier) = &self.notifier {
            notifier.unused();
        }
        let mut next = self.prev.take();
        while let Some(mut filter) = next.and_then(Arc::into_inner) {
            next = filter.prev.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevor_abi::seccomp::{
        SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_LOG,
        SECCOMP_RET_TRACE, SECCOMP_RET_TRAP, SECCOMP_RET_USER_NOTIF, SockFilter,
    };

    fn returning(value: u32) -> Program {
        Program::check(&[SockFilter { code: 6, jt: 0, jf: 0, k: value }]).expect("a valid program")
    }

    fn after(prev: Option<Arc<Filter>>, value: u32, account: &Arc<Account>) -> Arc<Filter> {
        let options = Options::default();
        let filter = Filter::new(returning(value), prev, options, account.clone());
        Arc::new(filter.expect("there is room"))
    }

    #[test]
    fn the_strictest_action_wins_whatever_the_order() {
        let order = [
            SECCOMP_RET_KILL_PROCESS,
            SECCOMP_RET_KILL_THREAD,
            SECCOMP_RET_TRAP,
            SECCOMP_RET_ERRNO,
            SECCOMP_RET_USER_NOTIF,
            SECCOMP_RET_TRACE,
            SECCOMP_RET_LOG,
            SECCOMP_RET_ALLOW,
        ];
        let account = Arc::new(Account::new(u64::MAX));
        for (rank, &strict) in order.iter().enumerate() {
            for &lax in &order[rank..] {
                for (first, last) in [(strict, lax), (lax, strict)] {
                    let filter = after(Some(after(None, first, &account)), last, &account);
                    assert_eq!(filter.run(&SeccompData::default()).value, strict);
                }
            }
        }
        assert_eq!(account.charged(), 0);
    }

    #[test]
    fn among_equal_actions_the_last_installed_counts() {
        let account = Arc::new(Account::new(u64::MAX));
        let filter = after(
            Some(after(None, SECCOMP_RET_ERRNO | 1, &account)),
            SECCOMP_RET_ERRNO | 2,
            &account,
        );
        assert_eq!(filter.run(&SeccompData::default()).value, SECCOMP_RET_ERRNO | 2);
    }

    #[test]
    fn the_account_pays_and_a_long_chain_ends_without_recursion() {
        let account = Arc::new(Account::new(u64::MAX));
        let mut last = None;
        for _ in 0..50_000 {
            last = Some(after(last, SECCOMP_RET_ALLOW, &account));
        }
        assert_eq!(last.as_ref().map(|last| last.depth), Some(50_000));
        assert!(
            last.as_ref().is_some_and(|last| last.surely_allows(0) && !last.surely_allows(512))
        );
        account.set_limit(account.charged());
        let refused = Filter::new(returning(0), last.clone(), Options::default(), account.clone());
        assert!(refused.is_err());
        drop(last);
        assert_eq!(account.charged(), 0);
    }
}
