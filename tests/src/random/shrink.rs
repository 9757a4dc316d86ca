//! Finds the fewest steps that still show a difference, and prints them.

use super::Sequence;
use super::sides::{Shown, Sides};

/// Rounds of shrinking; each removes something or halves what it tries to remove.
const ROUNDS: usize = 200;

/// Shrinks a differing sequence and says what it shows on both sides.
pub fn shrink(sides: &Sides, found: &Sequence) -> Result<String, String> {
    let mut steps = found.steps.clone();
    let Some((native, bevor)) = sides.both(std::slice::from_ref(found))?.pop() else {
        return Err("a run without a result".to_owned());
    };
    let wanted = kind(&native, &bevor);
    let mut piece = steps.len().div_ceil(2);
    for _ in 0..ROUNDS {
        let candidates = without(&steps, piece);
        // What comes behind a sequence that ended the sandbox is unknown, so the first is taken.
        let both = sides.both(&candidates)?;
        match both
            .iter()
            .position(|(native, bevor)| native != bevor && kind(native, bevor) == wanted)
        {
            Some(index) => steps = candidates[index].steps.clone(),
            None if piece == 1 => break,
            None => piece = piece.div_ceil(2),
        }
        piece = piece.min(steps.len().max(1));
    }
    let shortest = Sequence { name: found.name.clone(), steps };
    let Some((native, bevor)) = sides.both(std::slice::from_ref(&shortest))?.pop() else {
        return Err("a run without a result".to_owned());
    };
    let steady = if native == bevor { " (not every time)" } else { "" };
    let prepared: Vec<&str> =
        shortest.steps.iter().filter_map(|step| step.strip_prefix("P ")).collect();
    Ok(format!(
        "{}, {} of {} steps{steady}; prepared: {}\n{}",
        found.name,
        shortest.steps.len(),
        found.steps.len(),
        prepared.join("; "),
        beside(&native, &bevor)
    ))
}

/// What the first difference is about: the step's name and the first words that differ, with 9 for each digit.
pub fn kind(native: &Shown, bevor: &Shown) -> String {
    let none = Vec::new();
    let (native, bevor) = (native.as_ref().unwrap_or(&none), bevor.as_ref().unwrap_or(&none));
    let same = native.iter().zip(bevor).take_while(|(left, right)| left == right).count();
    let line = |lines: &[String]| lines.get(same).map_or("(nothing)", String::as_str).to_owned();
    let (native, bevor) = (line(native), line(bevor));
    let words = |line: &str| -> Vec<String> {
        let result = line.split_once(" = ").map_or(line, |(_, result)| result);
        result.split_whitespace().map(str::to_owned).collect()
    };
    let (left, right) = (words(&native), words(&bevor));
    let same = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let word = |words: &[String]| {
        let word = words.get(same).map_or("(end)", String::as_str);
        word.replace(|letter: char| letter.is_ascii_digit(), "9")
    };
    let operation = match native.strip_prefix("  ") {
        Some(_) => "the tree in the end",
        None => native.split_whitespace().nth(1).unwrap_or_default(),
    };
    format!("{operation}: {} / {}", word(&left), word(&right))
}

/// The sequence without each of its pieces.
fn without(steps: &[String], piece: usize) -> Vec<Sequence> {
    (0..steps.len())
        .step_by(piece.max(1))
        .map(|from| {
            let to = (from + piece).min(steps.len());
            let rest = steps[..from].iter().chain(&steps[to..]).cloned().collect();
            Sequence { name: format!("without{from}"), steps: rest }
        })
        .collect()
}

/// What both sides printed; lines that are equal once.
fn beside(native: &Shown, bevor: &Shown) -> String {
    let none = Vec::new();
    let native_lines = native.as_ref().unwrap_or(&none);
    let bevor_lines = bevor.as_ref().unwrap_or(&none);
    let mut text = String::new();
    for at in 0..native_lines.len().max(bevor_lines.len()) {
        let line = |lines: &[String]| lines.get(at).map_or("(nothing)", String::as_str).to_owned();
        let (left, right) = (line(native_lines), line(bevor_lines));
        if left == right {
            text += &format!("    {left}\n");
        } else {
            text += &format!("  - {left}\n  + {right}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{kind, without};

    fn lines(text: &[&str]) -> Option<Vec<String>> {
        Some(text.iter().map(|line| (*line).to_owned()).collect())
    }

    #[test]
    fn each_piece_is_left_out_once() {
        let steps = lines(&["a", "b", "c"]).unwrap();
        let rests: Vec<String> =
            without(&steps, 2).iter().map(|rest| rest.steps.concat()).collect();
        assert_eq!(rests, ["c", "ab"]);
    }

    #[test]
    fn a_kind_is_the_operation_and_the_first_words_that_differ() {
        let native = lines(&["0 open 0 f = ok", "1 read 0 9 = 9 61*9"]);
        let bevor = lines(&["0 open 0 f = ok", "1 read 0 9 = EBADF"]);
        assert_eq!(kind(&native, &bevor), "read: 9 / EBADF");
        assert_eq!(kind(&native, &None), "open: ok / (nothing)");
    }
}
