// The answer of a sign-in, on its way back to who asked: without this, the button sends it.
document.getElementById("post").submit();
