# bevor-test: timeout=120 tier=full user=root do=--host-home
# cargo: a small crate made, built, tested, changed, broken, cleaned.
export HOME=/root; PATH=$PATH:/root/.cargo/bin; command -v cargo > /dev/null || exit 99
cargo new -q --vcs none app && cd app && cat > src/main.rs <<'R'
mod part { pub fn sum(n: u64) -> u64 { (1..=n).filter(|x| x % 3 == 0).sum() } }
fn main() { let v: Vec<_> = (0..8).map(|n| std::thread::spawn(move || part::sum(n * 1000))).map(|t| t.join().unwrap()).collect(); println!("{v:?}"); }
#[test] fn sums() { assert_eq!(part::sum(10), 18); }
R
cargo build -q --offline; echo $?; target/debug/app; cargo build -q --offline --release; target/release/app; cargo test -q --offline 2>&1 | grep -o 'test result.*measured'; touch src/main.rs; cargo build --offline 2>&1 | grep -c Compiling; cargo build --offline 2>&1 | grep -c Compiling
echo 'fn main() { let x: u32 = "a"; }' > src/main.rs; cargo build -q --offline 2>&1 | grep -E '^error'; cargo clean -q 2>/dev/null; ls
