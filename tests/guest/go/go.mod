module bevor.test/guest

go 1.19
